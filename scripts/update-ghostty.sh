#!/usr/bin/env bash
# Moves the pin to another release of the community's package: downloads it for both architectures, and writes version and
# digests to scripts/rootfs/ghostty.pin. Nothing vouches for a new digest but this download: compare it with the release's page.
# Usage: scripts/update-ghostty.sh VERSION      such as 1.3.1-0-ppa2, the release's name
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/rootfs/ghostty-source.sh
. "$REPO/scripts/rootfs/ghostty-source.sh"
[[ $# = 1 && $1 =~ ^[0-9][0-9.]*-[0-9]+-[a-z0-9]+$ ]] || die "usage: make update-ghostty VERSION=$(pinned version) (a release's name)"
version=$1
need curl dpkg-deb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

edits=(-e "s/^version .*/version $version/")
for arch in amd64 arm64; do
    url=$(pinned_url "$arch" "$version")
    say "downloading $url"
    fetch_part "$work/$arch.deb" "$url" || die "$url: $fetch_failure"
    # shellcheck disable=SC2016 # dpkg's format
    is=$(dpkg-deb --show --showformat='${Package} ${Architecture}' "$work/$arch.deb" 2>/dev/null || true)
    [ "$is" = "ghostty $arch" ] || die "$url is no package of Ghostty for $arch"
    digest=$(sha256sum <"$work/$arch.deb" | cut -d' ' -f1)
    edits+=(-e "s/^$arch .*/$arch $digest/")
    mkdir -p "$(dirname "$(fetched_path "$url" "$digest")")"
    mv "$work/$arch.deb" "$(fetched_path "$url" "$digest")"
done
was=$(pinned version)
sed "${edits[@]}" "$ghostty_pin_path" >"$work/pin"
cat "$work/pin" >"$ghostty_pin_path"
say "Ghostty $was -> $version in $ghostty_pin_path; compare the digests with the release's page, then: make run"
