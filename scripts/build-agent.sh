#!/usr/bin/env bash
# Builds the guest's SSH server: OUT/ghostly-agent, manifest.json. Kept in the build cache.
# Usage: [CARGO=cargo] [ARCH=x86_64|aarch64] scripts/build-agent.sh OUT
#
# For this machine's architecture its C library is that of this machine, and has to be no newer than the guest's; the
# root file system's build runs it once to see. The image changes with its bytes, so they must not depend on the folder
# it was compiled in.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

(($# == 1)) || die "usage: scripts/build-agent.sh OUT"
cargo=${CARGO:-cargo}
need "$cargo" jq

target=${CARGO_TARGET_DIR:-$REPO/target}/agent
options=(--profile guest --no-default-features --features agent --bin ghostly-agent --target-dir "$target")

# For this machine. Rust's runtime asks for gcc's unwinder as a shared library: a linker script of that name gives the
# static one, so that the program needs nothing but the C library.
compile_here() {
    mkdir -p "$target/static"
    echo 'INPUT(-lgcc_eh -lgcc)' >"$target/static/libgcc_s.so"
    RUSTFLAGS="-L native=$target/static $RUSTFLAGS" \
        "$cargo" build --quiet --locked --manifest-path "$REPO/Cargo.toml" "${options[@]}"
}

compile_for() {
    # shellcheck source=scripts/cross.sh
    . "$REPO/scripts/cross.sh"
    has_std "$1" || die "$1: $no_std"
    RUSTFLAGS+=" --remap-path-prefix=$cross_cache=/cross"
    # The oldest C library that is one file is old enough.
    cross zigbuild "$1.2.34" "${options[@]}"
}

build() {
    local home=${CARGO_HOME:-$HOME/.cargo} platform='' version
    export RUSTFLAGS="--remap-path-prefix=$REPO=/src --remap-path-prefix=$home=/cargo"
    if [ "$ARCH" = "$HOST_ARCH" ]; then
        compile_here >&2
    else
        platform=$ARCH-unknown-linux-gnu
        compile_for "$platform" >&2
    fi
    cp "$target/$platform/guest/ghostly-agent" "$1/"
    ! "$(tool_prefix)objdump" -p "$1/ghostly-agent" | grep NEEDED | grep -vE 'lib[cm]\.so|ld-linux' ||
        die "ghostly-agent links more than the C library"
    version=$("$cargo" pkgid --manifest-path "$REPO/Cargo.toml" | sed 's/.*[#@]//')
    jq -n --arg version "$version" --argjson bytes "$(stat -c %s "$1/ghostly-agent")" \
        '{component: "agent", version: $version, bytes: $bytes}' >"$1/manifest.json"
}

key=$(inputs_key "$REPO/src/agent" "$REPO/src/bin/ghostly-agent.rs" "$REPO/src/lib.rs" "$REPO/Cargo.toml" \
    "$REPO/Cargo.lock" "$REPO/scripts/build-agent.sh" "$REPO/scripts/cross.sh" "=$ARCH" "=$("$cargo" --version)" "=${RUSTUP_TOOLCHAIN:-}")
cached agent "$key" "$1" build
