#!/usr/bin/env bash
# Builds the guest's SSH server: OUT/ghostly-agent, manifest.json. Kept in the build cache.
# Usage: [CARGO=cargo] scripts/build-agent.sh OUT
#
# Its C library is that of this machine, and has to be no newer than the guest's; the root file system's build runs
# it once to see. The image changes with its bytes, so they must not depend on the folder it was compiled in.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

(($# == 1)) || die "usage: scripts/build-agent.sh OUT"
cargo=${CARGO:-cargo}
need "$cargo" jq

build() {
    local target=${CARGO_TARGET_DIR:-$REPO/target} home=${CARGO_HOME:-$HOME/.cargo}
    # Rust's runtime asks for gcc's unwinder as a shared library: a linker script of that name gives the static one,
    # so that the program needs nothing but the C library.
    mkdir -p "$target/agent/static"
    echo 'INPUT(-lgcc_eh -lgcc)' >"$target/agent/static/libgcc_s.so"
    (cd "$REPO" && RUSTFLAGS="-L native=$target/agent/static --remap-path-prefix=$REPO=/src --remap-path-prefix=$home=/cargo" \
        "$cargo" build --quiet --locked --profile guest --no-default-features --features agent --bin ghostly-agent \
        --target-dir "$target/agent") >&2
    cp "$target/agent/guest/ghostly-agent" "$1/"
    ! objdump -p "$1/ghostly-agent" | grep NEEDED | grep -vE 'lib[cm]\.so|ld-linux' ||
        die "ghostly-agent links more than the C library"
    jq -n --arg version "$("$1/ghostly-agent" --version)" --argjson bytes "$(stat -c %s "$1/ghostly-agent")" \
        '{component: "agent", version: $version, bytes: $bytes}' >"$1/manifest.json"
}

key=$(inputs_key "$REPO/src/agent" "$REPO/src/bin/ghostly-agent.rs" "$REPO/src/lib.rs" "$REPO/Cargo.toml" \
    "$REPO/Cargo.lock" "$REPO/scripts/build-agent.sh" "=$("$cargo" --version)" "=${RUSTUP_TOOLCHAIN:-}")
cached agent "$key" "$1" build
