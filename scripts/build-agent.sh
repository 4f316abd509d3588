#!/usr/bin/env bash
# Builds the guest's SSH server: OUT/ghostly-agent, manifest.json. Kept in the build cache.
# Usage: [CARGO=cargo] [ARCH=x86_64|aarch64] scripts/build-agent.sh OUT
#
# It is one file, linked with musl, so that it runs in any guest. If rustc has no standard library for musl and none can be
# built, it uses this machine's C library, which must not be newer than the guest's: the build of the root filesystem runs
# the program once to check that. Its bytes are part of the image, so they must not depend on the folder of the build.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH

(($# == 1)) || die "usage: scripts/build-agent.sh OUT"
cargo=${CARGO:-cargo}
need "$cargo" jq

target=${CARGO_TARGET_DIR:-$REPO/target}/agent
options=(--profile guest --no-default-features --features agent --bin ghostly-agent --target-dir "$target")

# With this machine's C library. Rust's runtime links gcc's unwinder as a shared library: a linker script of that name
# replaces it by the static one, so that the program needs no other library.
compile_here() {
    mkdir -p "$target/static"
    echo 'INPUT(-lgcc_eh -lgcc)' >"$target/static/libgcc_s.so"
    RUSTFLAGS="-L native=$target/static $RUSTFLAGS" \
        "$cargo" build --quiet --locked --manifest-path "$REPO/Cargo.toml" "${options[@]}"
}

build() {
    local home=${CARGO_HOME:-$HOME/.cargo} platform=$ARCH-unknown-linux-musl version libraries allowed='^$'
    export RUSTFLAGS="--remap-path-prefix=$REPO=/src --remap-path-prefix=$home=/cargo"
    # shellcheck source=scripts/cross.sh
    . "$REPO/scripts/cross.sh"
    if has_std "$platform"; then
        RUSTFLAGS+=" --remap-path-prefix=$cross_cache=/cross"
        cross zigbuild "$platform" "${options[@]}" >&2
    elif [ "$ARCH" = "$HOST_ARCH" ]; then
        say "ghostly-agent uses this machine's C library: $platform: $no_std"
        platform='' allowed='^lib[cm]\.so|^ld-linux'
        compile_here >&2
    else
        die "$platform: $no_std"
    fi
    cp "$target/$platform/guest/ghostly-agent" "$1/"
    libraries=$("$(tool_prefix)objdump" -p "$1/ghostly-agent" | awk '/NEEDED/ {print $2}')
    ! grep -vE "$allowed" <<<"$libraries" || die "ghostly-agent links libraries that a guest may not have"
    version=$("$cargo" pkgid --manifest-path "$REPO/Cargo.toml" | sed 's/.*[#@]//')
    jq -n --arg version "$version" --arg libraries "$libraries" --argjson bytes "$(stat -c %s "$1/ghostly-agent")" \
        '{component: "agent", version: $version, bytes: $bytes, libraries: [$libraries | splits("\n") | select(. != "")]}' >"$1/manifest.json"
}

key=$(inputs_key "$REPO/src/agent" "$REPO/src/protocol" "$REPO/src/tree" "$REPO/src/bin/ghostly-agent.rs" "$REPO/src/lib.rs" "$REPO/Cargo.toml" \
    "$REPO/Cargo.lock" "$REPO/scripts/build-agent.sh" "$REPO/scripts/cross.sh" \
    "$REPO/scripts/requirements/zig.txt" "=$ARCH" "=$("$cargo" --version)" "=${RUSTUP_TOOLCHAIN:-}")
cached agent "$key" "$1" build
