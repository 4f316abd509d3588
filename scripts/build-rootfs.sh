#!/usr/bin/env bash
# Builds the root file system: OUT/rootfs.img (ext4, sparse), manifest.json, sbom.spdx.json. Kept in the build cache.
# Usage: [ARCH=x86_64|aarch64] [FLAVOUR=debian|arch] [GHOSTTY=FILE] scripts/build-rootfs.sh OUT
#   GHOSTTY   a Ghostty of your own for the debian flavour: a .deb, or a .tar.gz with a usr/ tree
# Nothing is mounted. Not as root, it needs a range in /etc/subuid (package uidmap). Programs of the image run while it is
# built: those of another architecture by qemu-user, which the kernel starts for them (binfmt_misc).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

(($# == 1)) || die "usage: [ARCH=x86_64|aarch64] [FLAVOUR=debian|arch] [GHOSTTY=FILE] $0 OUT"
export FLAVOUR=${FLAVOUR:-debian} GHOSTTY=${GHOSTTY:-}
flavour_script=$REPO/scripts/rootfs/$FLAVOUR.sh
[ -f "$flavour_script" ] || die "no such flavour: $FLAVOUR (debian, arch)"
need jq unshare mkfs.ext4
[ "$ARCH" = "$HOST_ARCH" ] || arch-test "$(deb_arch "$ARCH")" >/dev/null 2>&1 ||
    die "programs for $ARCH don't run here; run: ARCH=$ARCH scripts/install-deps.sh cross"
AGENT=$(build_path)/agent/ghostly-agent
export AGENT
[ -x "$AGENT" ] || "$REPO/scripts/build-agent.sh" "$(dirname "$AGENT")"
inputs=("$REPO/assets/guest" "$AGENT" "$REPO/scripts/rootfs" "$REPO/scripts/build-rootfs.sh" "$REPO/scripts/lib.sh"
    "=$ARCH" "=$FLAVOUR" "=$SOURCE_DATE_EPOCH")
if [ -n "$GHOSTTY" ]; then
    [ "$FLAVOUR" = debian ] || die "GHOSTTY=FILE is for FLAVOUR=debian; the $FLAVOUR flavour brings its own"
    [ -f "$GHOSTTY" ] || die "no such file: GHOSTTY=$GHOSTTY"
    GHOSTTY=$(realpath "$GHOSTTY")
    inputs+=("=$(sha256sum <"$GHOSTTY") ${GHOSTTY_PACKAGES:-}")
fi

# shellcheck source=scripts/rootfs/debian.sh
. "$flavour_script"
# The versions that the distribution has now, where it can say so beforehand.
if declare -F bootstrap_inputs >/dev/null; then
    versions=$(bootstrap_inputs)
    inputs+=("=$versions")
fi

build() { as_root "$REPO/scripts/rootfs/make.sh" "$1"; }
key=$(inputs_key "${inputs[@]}")
cached rootfs "$key" "$1" build
