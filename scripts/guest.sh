#!/usr/bin/env bash
# Kernel and root filesystem as one file, for the systems where they can't be built: `make dist GUEST=FILE`.
# Usage: scripts/guest.sh pack BUILD FILE      BUILD/kernel and BUILD/rootfs into FILE (.tar.zst)
#        scripts/guest.sh unpack FILE BUILD    and back
# The guest's architecture has to be that of the machine which the executable is for; FILE says which it is.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need tar zstd jq

pack() {
    local build=$1 file=$2 part
    for part in kernel rootfs; do
        [ -s "$build/$part/manifest.json" ] || die "no $part in $build; run: make assets"
    done
    mkdir -p "$(dirname "$file")"
    printf '%s\n' "$ARCH" >"$build/guest-arch"
    tar -C "$build" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cSf - guest-arch kernel rootfs |
        zstd -q -T0 -10 -f -o "$file"
    rm "$build/guest-arch"
    say "$file: $(du -h "$file" | cut -f1)"
}

unpack() {
    local file=$1 build=$2 new=$2/.guest is
    [ -f "$file" ] || die "GUEST=$file is no file; it is made by: make guest"
    rm -rf "$new"
    mkdir -p "$new"
    zstd -qdc "$file" | tar -C "$new" -xSf - || die "$file can't be unpacked: not one of make guest's, or cut off"
    is=$(cat "$new/guest-arch" 2>/dev/null) || die "$file is not one of make guest's"
    [ "$is" = "$ARCH" ] || die "the guest in $file is for $is, and $ARCH is wanted"
    rm -rf "$build/kernel" "$build/rootfs"
    touch "$new"/{kernel,rootfs}/manifest.json # newer than its prerequisites, for make
    mv "$new"/{kernel,rootfs} "$build/"
    rm -rf "$new"
    say "kernel and root filesystem from $file"
}

[ $# = 3 ] || die "usage: scripts/guest.sh pack BUILD FILE | unpack FILE BUILD"
case $1 in
pack | unpack) "$@" ;;
*) die "usage: scripts/guest.sh pack BUILD FILE | unpack FILE BUILD" ;;
esac
