#!/usr/bin/env bash
# A whole image whose terminal is Ghostty's stand-in, which brings GTK and libadwaita as Ghostty does: everything that
# holds for an image holds for this one. It stays in OUT for tests that boot it (--rootfs OUT/rootfs.img).
# Usage: [SUITE=trixie|sid] tests/build/ghostty-image.sh [OUT]
# Some minutes; from the build cache, seconds.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need jq debugfs
unset GHOSTTY GHOSTTY_PACKAGES GHOSTTY_SHA256
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${1:-$work/rootfs}

check 'the stand-in is built' "$REPO/tests/ghostty-stand-in/build.sh" "$work/stand-in.tar.gz"
check 'it is built once more' "$REPO/tests/ghostty-stand-in/build.sh" "$work/again.tar.gz"
check 'with the same bytes' cmp "$work/stand-in.tar.gz" "$work/again.tar.gz"
check 'the image is built' env FLAVOUR=debian GHOSTTY="$work/stand-in.tar.gz" "$REPO/scripts/build-rootfs.sh" "$out"
check 'its terminal is the stand-in' jq -e '.terminal == "ghostty" and .terminal_version == "1.3.1-stand-in"' "$out/manifest.json"
check 'all that holds for an image holds for it' "$REPO/tests/build/rootfs.sh" "$out"
check 'foot is there too' jq -e '.packages.foot' "$out/manifest.json"
finish
