#!/usr/bin/env bash
# Builds the root file system: OUT/rootfs.img (ext4, sparse), manifest.json, sbom.spdx.json. Kept in the build cache.
# Usage: [ARCH=x86_64|aarch64] [FLAVOUR=debian|arch] [SUITE=trixie|sid] [GHOSTTY=FILE|URL|none] scripts/build-rootfs.sh OUT
#   GHOSTTY   a Ghostty of your own for the debian flavour: a .deb, or a .tar.gz with a usr/ tree; GHOSTTY_SHA256 is its
#             digest, which a URL has to have. Without one: the suite's own package, else the pinned one, else foot.
#             none: foot, and nothing is downloaded
# Nothing is mounted. Not as root, it needs a range in /etc/subuid (package uidmap). Programs of the image run while it is
# built: those of another architecture by qemu-user, which the kernel starts for them (binfmt_misc).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH

(($# == 1)) || die "usage: [ARCH=x86_64|aarch64] [FLAVOUR=debian|arch] [GHOSTTY=FILE|URL|none] $0 OUT"
export FLAVOUR=${FLAVOUR:-debian} GHOSTTY=${GHOSTTY:-}
flavour_script=$REPO/scripts/rootfs/$FLAVOUR.sh
[ -f "$flavour_script" ] || die "no such flavour: $FLAVOUR (debian, arch)"
need jq unshare mkfs.ext4
[ "$ARCH" = "$HOST_ARCH" ] || arch-test "$(deb_arch "$ARCH")" >/dev/null 2>&1 ||
    die "this machine cannot run programs for $ARCH; run: ARCH=$ARCH scripts/install-deps.sh cross"
AGENT=$(build_path)/agent/ghostly-agent
export AGENT
[ -x "$AGENT" ] || "$REPO/scripts/build-agent.sh" "$(dirname "$AGENT")"
inputs=("$REPO/assets/guest" "$AGENT" "$REPO/scripts/rootfs" "$REPO/scripts/build-rootfs.sh" "$REPO/scripts/lib.sh"
    "=$ARCH" "=$FLAVOUR" "=$SUITE" "=$SOURCE_DATE_EPOCH")
# shellcheck source=scripts/rootfs/debian.sh
. "$flavour_script"
# shellcheck source=scripts/rootfs/ghostty-source.sh
. "$REPO/scripts/rootfs/ghostty-source.sh"
[ "$FLAVOUR" = debian ] || [ -z "$GHOSTTY" ] || die "GHOSTTY= is for FLAVOUR=debian; the $FLAVOUR flavour brings its own"
handed_in

# The versions that the distribution has now.
versions=$(bootstrap_inputs)
inputs+=("=$versions")
if [ "$FLAVOUR" = debian ]; then
    choose_ghostty "$versions"
    [ ! -f "$GHOSTTY" ] || inputs+=("=$(sha256sum <"$GHOSTTY") ${GHOSTTY_PACKAGES:-}")
fi

build() { as_root "$REPO/scripts/rootfs/make.sh" "$1"; }
key=$(inputs_key "${inputs[@]}")
cached rootfs "$key" "$1" build
