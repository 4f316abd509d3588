#!/usr/bin/env bash
# Makes the root file system from scratch. Run by build-rootfs.sh, as root or as the root of a user namespace.
# Usage: FLAVOUR=debian|arch GHOSTTY=FILE|none| scripts/rootfs/make.sh OUT
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"
here=$REPO/scripts/rootfs
# shellcheck source=scripts/rootfs/debian.sh
. "$here/$FLAVOUR.sh"
# shellcheck source=scripts/rootfs/configure.sh
. "$here/configure.sh"
# shellcheck source=scripts/rootfs/trim.sh
. "$here/trim.sh"
# shellcheck source=scripts/rootfs/manifest.sh
. "$here/manifest.sh"
# shellcheck source=scripts/rootfs/pack.sh
. "$here/pack.sh"

out=$1
root=$out/root
mkdir "$root"
umask 022
say "packages ($FLAVOUR)"
bootstrap "$root"
if [ -f "$GHOSTTY" ]; then
    # shellcheck disable=SC1091 # sourced only where Ghostty is not among the packages
    . "$here/ghostty.sh"
    say "Ghostty from $GHOSTTY"
    install_ghostty "$root" "$GHOSTTY"
fi
if declare -F finish_packages >/dev/null; then finish_packages "$root"; fi
say "configuration"
configure "$root" "$(terminal "$root")"
write_manifest "$root" "$out"
say "trim"
trim "$root"
say "pack"
pack "$root" "$out/rootfs.img"
rm -rf "$root"
