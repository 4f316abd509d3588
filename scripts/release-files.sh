#!/usr/bin/env bash
# Puts this machine's part of a release into OUT under its release names, signed if keys are given. On Linux also the files
# that packages install beside the executable, virtualghost-VERSION-share.tar.gz: man pages, completion scripts, desktop
# file, icons, licence. Each Linux makes the same one.
# Usage: [CARGO=cargo] scripts/release-files.sh DIST OUT      DIST: the output of `make dist`
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || die "usage: scripts/release-files.sh DIST OUT"
platform=$(platform)
suffix=$(program_suffix "$platform")
version=$(project_version)
name=virtualghost-$version-$platform
(cd "$1" && sha256sum --quiet -c SHA256SUMS) || die "the files in $1 do not match its SHA256SUMS; run: make dist"
mkdir -p "$2"
cp "$1/virtualghost$suffix" "$2/$name$suffix"
cp "$1/sbom.spdx.json" "$2/$name.spdx.json"
"$REPO/scripts/sign.sh" "$2/$name$suffix"

case $platform in linux-*)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$REPO/scripts/share-files.sh" "$work/share"
    cp -r "$REPO"/{LICENSE,README.md} "$REPO/packaging/virtualghost.desktop" "$REPO/packaging/icons" "$work/share/"
    dated_tar "$2/virtualghost-$version-share.tar.gz" "$work" share
    ;;
esac
