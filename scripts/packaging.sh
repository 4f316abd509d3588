#!/usr/bin/env bash
# The install files of a release, filled in from the templates in packaging/: versions, addresses, checksums.
# Usage: PROJECT_URL=https://… scripts/packaging.sh VERSION FILES OUT
#   FILES   the folder of the release's files: the executables of all platforms are there. It gets
#           virtualghost-VERSION-share.tar.gz (desktop file, icons, licence), virtualghost-VERSION-packages.tar.gz (what
#           is in OUT) and SHA256SUMS over everything in it
#   OUT     gets homebrew/, winget/ and aur/
#   PROJECT_URL   the project's page; the files of a release are at PROJECT_URL/releases/download/vVERSION/
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 3 ] || die "usage: scripts/packaging.sh VERSION FILES OUT"
version=$1 files=$2 out=$3
[[ ${PROJECT_URL:-} =~ ^https://[^/]+(/[A-Za-z0-9._~/-]*)?$ ]] || die "say where the project is: PROJECT_URL=https://…"
[ "$version" = "$(project_version)" ] || die "the version is $(project_version) in Cargo.toml, not $version"
url=${PROJECT_URL%/}
executables=(linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64 windows-x86_64)

share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
mkdir "$share/share"
cp -r "$REPO"/{LICENSE,README.md} "$REPO/packaging/virtualghost.desktop" "$REPO/packaging/icons" "$share/share/"
dated_tar "$files/virtualghost-$version-share.tar.gz" "$share" share

# sum FILE: its checksum.
sum() {
    [ -s "$files/$1" ] || die "no $1 in $files: every platform's executable has to be there"
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
    ! grep -n '@[A-Z0-9]*[:@]' "$filled" || die "$template has a word that is not filled in"
done < <(find "$REPO"/packaging/{homebrew,winget,aur} -name '*.in' | sort)

dated_tar "$files/virtualghost-$version-packages.tar.gz" "$out" .
(cd "$files" && rm -f SHA256SUMS && sha256sum -- * >"$share/SHA256SUMS" && cp "$share/SHA256SUMS" .)
say "$out, and $(wc -l <"$files/SHA256SUMS") files in $files"
