#!/usr/bin/env bash
# What is typed from the first moment that the window is there arrives, in order: many starts of each kind, with foot and with
# the stand-in for Ghostty.
# Usage: [TIMES=50] tests/lab/typing.sh EXECUTABLE [TERMINAL...]      (default: foot ghostty)
# A start takes 10 to 60 seconds under TCG: half an hour for TIMES=10.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
[ -x "${1-}" ] || die "usage: [TIMES=50] $0 EXECUTABLE [TERMINAL...]"
executable=$(realpath "$1")
shift
(($#)) || set -- foot ghostty
target=${CARGO_TARGET_DIR:-$REPO/target}

# with_stand_in: builds an executable like the one under test whose image has the stand-in.
with_stand_in() {
    local assets=$target/stand-in-assets component
    mkdir -p "$assets"
    "$REPO/tests/build/ghostty-image.sh" "$assets/rootfs"
    for component in kernel qemu; do ln -sfn "$(build_path)/$component" "$assets/$component"; done
    VIRTUALGHOST_ASSETS=$assets "${CARGO:-cargo}" build --quiet --release --target-dir "$target/stand-in" --manifest-path "$REPO/Cargo.toml"
    executable=$target/stand-in/release/virtualghost
}

for terminal in "$@"; do
    [ "$terminal" != ghostty ] || with_stand_in
    VIRTUALGHOST_EXECUTABLE=$executable VIRTUALGHOST_TYPING=${TIMES:-50} VIRTUALGHOST_TYPING_TERMINAL=$terminal \
        "${CARGO:-cargo}" test --manifest-path "$REPO/Cargo.toml" --test boot -- --test-threads=1 --nocapture typing
done
