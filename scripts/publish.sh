#!/usr/bin/env bash
# Uploads a release: every file of a folder, after a check of its SHA256SUMS.
# Usage: scripts/publish.sh TAG FILES      (TAG: vVERSION; needs gh, and GH_TOKEN)
# With DRY_RUN set it prints what it would upload.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || die "usage: scripts/publish.sh TAG FILES"
tag=$1 files=$2
version=$(project_version)
[ "$tag" = "v$version" ] || die "the tag is $tag, and the version in Cargo.toml is $version; the tag must be v$version"
[ -s "$files/SHA256SUMS" ] || die "no SHA256SUMS in $files; run: make packages"
(cd "$files" && sha256sum --quiet -c SHA256SUMS) || die "the files in $files do not match its SHA256SUMS"
command=(gh release create "$tag" --verify-tag --title "VirtualGhost $version" --generate-notes)
case $version in *-*) command+=(--prerelease) ;; esac
command+=("$files"/*)
if [ -n "${DRY_RUN:-}" ]; then
    printf 'would run: %s\n' "${command[*]}"
else
    need gh
    "${command[@]}"
fi
