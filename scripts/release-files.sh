#!/usr/bin/env bash
# What this machine adds to a release, under the names that it has there, signed where keys are given.
# Usage: scripts/release-files.sh DIST OUT      DIST: what `make dist` made
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || die "usage: scripts/release-files.sh DIST OUT"
platform=$(platform)
suffix=$(program_suffix "$platform")
name=virtualghost-$(project_version)-$platform
(cd "$1" && sha256sum --quiet -c SHA256SUMS) || die "$1 is not as make dist left it"
mkdir -p "$2"
cp "$1/virtualghost$suffix" "$2/$name$suffix"
cp "$1/sbom.spdx.json" "$2/$name.spdx.json"
"$REPO/scripts/sign.sh" "$2/$name$suffix"
