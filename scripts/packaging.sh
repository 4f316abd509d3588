#!/usr/bin/env bash
# Makes the install files of a release from the templates in packaging/, with versions, addresses and checksums.
# Usage: PROJECT_URL=https://… scripts/packaging.sh VERSION FILES OUT
#   FILES   the folder of the release's files: the executables of all platforms and virtualghost-VERSION-share.tar.gz are
#           there (scripts/release-files.sh). It gets virtualghost-VERSION-packages.tar.gz (what is in OUT) and SHA256SUMS
#           over everything in it
#   OUT     gets homebrew/, winget/ and aur/
#   PROJECT_URL   the project's page; the files of a release are at PROJECT_URL/releases/download/vVERSION/
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 3 ] || die "usage: scripts/packaging.sh VERSION FILES OUT"
version=$1 files=$2 out=$3
[[ ${PROJECT_URL:-} =~ ^https://[^/]+(/[A-Za-z0-9._~/-]*)?$ ]] || die "set the project's address: PROJECT_URL=https://…"
[ "$version" = "$(project_version)" ] || die "the version in Cargo.toml is $(project_version), not $version"
url=${PROJECT_URL%/}
executables=(linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64 windows-x86_64)

# sum FILE: prints its checksum.
sum() {
    [ -s "$files/$1" ] || die "no $1 in $files; the executables of all platforms must be there"
    sha256sum <"$files/$1" | cut -d' ' -f1
}
edits=(-e "s,@FILES@,$url/releases/download/v$version,g" -e "s,@URL@,$url,g" -e "s,@VERSION@,$version,g")
sum=$(sum "virtualghost-$version-share.tar.gz")
edits+=(-e "s,@SHA256:share@,$sum,g")
for platform in "${executables[@]}"; do
    sum=$(sum "virtualghost-$version-$platform$(program_suffix "$platform")")
    edits+=(-e "s,@SHA256:$platform@,$sum,g")
done

rm -rf "$out"
while IFS= read -r template; do
    filled=$out/${template#"$REPO"/packaging/}
    filled=${filled%.in}
    mkdir -p "$(dirname "$filled")"
    sed "${edits[@]}" "$template" >"$filled"
    ! grep -n '@[A-Z0-9]*[:@]' "$filled" || die "$template has a placeholder without a value"
done < <(find "$REPO"/packaging/{homebrew,winget,aur} -name '*.in' | sort)

dated_tar "$files/virtualghost-$version-packages.tar.gz" "$out" .
sums=$(cd "$files" && rm -f SHA256SUMS && sha256sum -- *)
printf '%s\n' "$sums" >"$files/SHA256SUMS"
say "$out, and $(wc -l <"$files/SHA256SUMS") files in $files"
