#!/usr/bin/env bash
# Moves the pin to the newest QEMU that a suite of Debian has the source of, also among its security updates: writes version
# and digests, which apt has verified, to docker/qemu/qemu.pin.
# Usage: scripts/update-qemu.sh [SUITE]      by default the suite that is pinned
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/qemu/build.sh
. "$REPO/scripts/qemu/build.sh"
suite=${1:-$pinned_suite}
need apt-get apt-cache sha1sum
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# apt with the lists of sources. fetch_source reads the same pool.
private_apt "$work/apt" "$suite" "$suite-updates" "$suite-security"
sed -i 's/^deb /deb-src /' "$work/apt/sources.list"
# shellcheck disable=SC2154 # from private_apt
apt-get "${apt_opts[@]}" -qq update || die "apt could not read the sources of $suite"
version=$(apt-cache "${apt_opts[@]}" showsrc qemu | sed -n 's/^Version: //p' | sort -V | tail -n 1)
[ -n "$version" ] || die "the archive has no source of QEMU in $suite"
[ "$suite $version" != "$pinned_suite $pinned_version" ] || { say "QEMU $version is pinned already" && exit 0; }

mirror=$(debian_mirror)
apt-cache "${apt_opts[@]}" showsrc qemu | awk -v wanted="$version" '
    /^Package: / {here = 0} /^Version: / {here = $2 == wanted} /^[^ ]/ {digests = $1 == "Checksums-Sha256:"}
    here && digests && $3 ~ /\.(orig|debian)\.tar\.xz$/ && !seen[$3]++ {print $3, $1}' >"$work/files"
[ "$(wc -l <"$work/files")" = 2 ] || die "QEMU $version has other files than one .orig.tar.xz and one .debian.tar.xz"
while read -r name sha256; do
    fetch "$mirror/pool/main/q/qemu/$name" "$sha256" || fetch "$mirror-security/pool/updates/main/q/qemu/$name" "$sha256" ||
        die "$name: $fetch_failure"
    echo "file $name $sha256 $(sha1sum <"$fetched" | cut -d' ' -f1)" >>"$work/pinned"
done <"$work/files"
{
    grep '^#' "$qemu_pin_path"
    printf 'suite %s\nversion %s\n' "$suite" "$version"
    cat "$work/pinned"
} >"$work/pin"
cat "$work/pin" >"$qemu_pin_path"
say "QEMU $pinned_version -> $version of $suite in $qemu_pin_path; now: make package-qemu test-components test-boot"
