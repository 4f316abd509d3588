#!/usr/bin/env bash
# Kernel and root filesystem as one file, for systems that cannot build them: `make dist GUEST=FILE`.
# Usage: scripts/guest.sh pack BUILD FILE      BUILD/kernel and BUILD/rootfs into FILE (.tar.zst)
#        scripts/guest.sh unpack FILE BUILD    the reverse
# FILE contains the guest's architecture, which must be the one that the executable is built for.
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
    [ -f "$file" ] || die "GUEST=$file: no such file; it is made by: make guest"
    rm -rf "$new"
    mkdir -p "$new"
    zstd -qdc "$file" | tar -C "$new" -xSf - || die "$file cannot be unpacked: it was not made by make guest, or is truncated"
    is=$(cat "$new/guest-arch" 2>/dev/null) || die "$file was not made by make guest"
    [ "$is" = "$ARCH" ] || die "the guest in $file is for $is, not for $ARCH"
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
