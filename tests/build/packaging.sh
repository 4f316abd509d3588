#!/usr/bin/env bash
# The install files of a release, each checked by its own system's tool, and the release workflow. The executables are
# stand-ins, so it is quick.
# Usage: [CARGO=cargo] tests/build/packaging.sh
# shellcheck disable=SC2016 # what is for jq, grep and sed is not for this shell
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need cc desktop-file-validate dpkg-deb jq lintian makepkg man openssl osslsigncode python3 rsvg-convert ruby shellcheck xmllint
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
version=$(project_version)
files=$work/release out=$work/packages dist=$work/dist
export PROJECT_URL=https://forge.invalid/virtualghost/virtualghost
platforms=(linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64 windows-x86_64)
unset WINDOWS_CERTIFICATE MACOS_CERTIFICATE RELEASE TAG DRY_RUN

scripts() { local name=$1 && shift && "$REPO/scripts/$name" "$@"; }
same() { diff <(printf '%s\n' "$2") <(printf '%s\n' "$1"); }
says() { local pattern=$1 && shift && "$@" >"$work/said" 2>&1 && cat "$work/said" && grep -qE -- "$pattern" "$work/said"; }

# The output of `make dist`, with another program as the executable.
mkdir -p "$dist"
echo 'int main(void) { return 0; }' | cc -x c -O2 -s -fPIE -pie -Wl,-z,relro,-z,now -o "$dist/virtualghost" -
echo '{}' >"$dist/sbom.spdx.json"
(cd "$dist" && sha256sum virtualghost sbom.spdx.json >SHA256SUMS)

### This machine's files

check "the files get the release's names" scripts release-files.sh "$dist" "$files"
check '... the executable' cmp "$dist/virtualghost" "$files/virtualghost-$version-$(platform)"
check '... and its list of packages' cmp "$dist/sbom.spdx.json" "$files/virtualghost-$version-$(platform).spdx.json"
tar -C "$work" -xzf "$files/virtualghost-$version-share.tar.gz"
check '... a man page for the program and each command' test -s "$work/share/man/man1/virtualghost.1" -a \
    -s "$work/share/man/man1/virtualghost-run.1" -a -s "$work/share/man/man1/virtualghost-gpu-list.1"
pages_are_well_formed() { ! (man --warnings -E UTF-8 -l "$work"/share/man/man1/*.1 2>&1 >/dev/null) | grep .; }
check '... which man reads without a warning' pages_are_well_formed
check '... with the examples as a section' grep -qx '.SH EXAMPLES' "$work/share/man/man1/virtualghost-run.1"
check '... a completion script that bash reads' bash -n "$work/share/completions/virtualghost.bash"
check 'Linux: it prints that nothing is signed' says 'have no signature; SHA256SUMS' scripts release-files.sh "$dist" "$files"
cp -r "$dist" "$work/changed" && echo more >>"$work/changed/virtualghost"
refuses 'files that make dist did not make are refused' 'do not match its SHA256SUMS' scripts release-files.sh "$work/changed" "$work/none"

### Signing

# The smallest Windows program that can be signed: headers and one empty section.
program_of_windows() {
    python3 - "$1" <<'END'
import struct, sys
dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
optional = struct.pack("<HBBIIIII", 0x20b, 14, 0, 512, 0, 0, 0x1000, 0x1000) + struct.pack("<QII", 0x140000000, 0x1000, 512)
optional += struct.pack("<HHHHHHIIIIHHQQQQII", 6, 0, 0, 0, 6, 0, 0, 0x2000, 512, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)
section = b".text\0\0\0" + struct.pack("<IIIIIIHHI", 512, 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
open(sys.argv[1], "wb").write((dos + coff + optional.ljust(240, b"\0") + section).ljust(512, b"\0") + b"\xc3".ljust(512, b"\0"))
END
}
program_of_windows "$work/program.exe" && cp "$work/program.exe" "$work/unsigned.exe"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/certificate.pem" -days 30 -subj /CN=test \
    -addext extendedKeyUsage=codeSigning 2>/dev/null
openssl pkcs12 -export -inkey "$work/key.pem" -in "$work/certificate.pem" -out "$work/key.pfx" -passout pass:secret
certificate=$(base64 -w0 "$work/key.pfx")

check 'Windows: without a key it prints that the file is unsigned, ...' says 'UNSIGNED: no WINDOWS_CERTIFICATE' scripts sign.sh "$work/program.exe"
check '... and the file is unchanged' cmp "$work/program.exe" "$work/unsigned.exe"
WINDOWS_CERTIFICATE=$certificate WINDOWS_CERTIFICATE_PASSWORD=secret \
    check 'Windows: with a key it is signed, ...' says 'program.exe: signed' scripts sign.sh "$work/program.exe"
check '... by that key' says 'Number of verified signatures: 1|Signature verification: ok' osslsigncode verify -CAfile "$work/certificate.pem" -in "$work/program.exe"
WINDOWS_CERTIFICATE=$certificate WINDOWS_CERTIFICATE_PASSWORD=wrong \
    refuses 'Windows: a wrong password is distinguished from a wrong file' 'check WINDOWS_CERTIFICATE_PASSWORD' scripts sign.sh "$work/program.exe"
WINDOWS_CERTIFICATE='no base64!' refuses 'Windows: a certificate that is not base64 is refused' 'not base64' scripts sign.sh "$work/program.exe"

# macOS's tools are stubs that log their arguments.
mkdir "$work/stubs"
for tool in codesign security ditto xcrun; do
    printf '#!/bin/bash\nprintf "%%s" "%s" >>"%s"; printf " %%s" "$@" >>"%s"; echo >>"%s"\n%s\n' $tool "$work/log" "$work/log" "$work/log" \
        "$([ $tool != security ] || echo "case \$1 in create-keychain) touch \"\${!#}\" ;; delete-keychain) rm \"\$2\" ;; find-identity) echo '  1) ABCDEF0123 \"Developer ID\"' ;; esac")" >"$work/stubs/$tool"
done
printf '#!/bin/bash\necho Darwin\n' >"$work/stubs/uname"
chmod +x "$work"/stubs/*
on_macos() { : >"$work/log" && PATH=$work/stubs:$PATH ARCH=aarch64 scripts sign.sh "$work/macos-program"; }
cp "$dist/virtualghost" "$work/macos-program"
check 'macOS: without a key it prints that the file is unsigned' says 'UNSIGNED \(ad hoc\): no MACOS_CERTIFICATE' on_macos
check '... and signed ad hoc with the entitlements' grep -q '^codesign --force --sign - --entitlements .*entitlements.plist .*macos-program$' "$work/log"
export MACOS_CERTIFICATE=$certificate MACOS_CERTIFICATE_PASSWORD=secret
check 'macOS: with a key, but none for the notary, it prints that' says 'signed, NOT NOTARIZED' on_macos
check '... signed for a hardened run time, with a time stamp' grep -q '^codesign --force --timestamp --options runtime .*--sign ABCDEF0123 --entitlements' "$work/log"
check '... and the keychain is removed' grep -q '^security delete-keychain' "$work/log"
export MACOS_NOTARY_KEY=$certificate MACOS_NOTARY_KEY_ID=ID MACOS_NOTARY_ISSUER=ISSUER
check 'macOS: with both it is notarized' says 'signed and notarized' on_macos
check '... after it was signed' same "$(grep -oE '^(codesign --force|xcrun notarytool submit)' "$work/log")" \
    "$(printf 'codesign --force\nxcrun notarytool submit')"
unset MACOS_CERTIFICATE MACOS_NOTARY_KEY

### The .deb

check 'a .deb is made' scripts package-deb.sh "$dist" "$files"
deb=$(echo "$files"/virtualghost_"$version"-1_*.deb)
check '... of this version and architecture' same "$(dpkg-deb -f "$deb" Package Version Architecture | cut -d' ' -f2 | xargs)" \
    "virtualghost $version-1 $(dpkg --print-architecture)"
check 'lintian finds nothing' lintian --fail-on error,warning,info --allow-root --tag-display-limit 0 "$deb"
dpkg-deb -x "$deb" "$work/deb"
check 'it has the unchanged executable' cmp "$work/deb/usr/bin/virtualghost" "$dist/virtualghost"
check 'it has the man pages' test -s "$work/deb/usr/share/man/man1/virtualghost.1.gz" -a -s "$work/deb/usr/share/man/man1/virtualghost-run.1.gz"
# In a shell that loads what the package installs as bash-completion does: by the name of the program.
loads_completion() { bash --norc -c '. "$1/virtualghost" && complete -p virtualghost' bash "$work/deb/usr/share/bash-completion/completions"; }
check 'it has the completion script for bash' loads_completion
check 'it has desktop file and icons' test -s "$work/deb/usr/share/applications/virtualghost.desktop" -a \
    -s "$work/deb/usr/share/icons/hicolor/scalable/apps/virtualghost.svg" -a -s "$work/deb/usr/share/icons/hicolor/48x48/apps/virtualghost.png"
mkdir "$work/again"
check 'made twice, ...' scripts package-deb.sh "$dist" "$work/again"
check '... it is the same' cmp "$deb" "$work/again/${deb##*/}"

### Desktop file and icon

check 'desktop-file-validate finds nothing' desktop-file-validate --warn-kde "$REPO/packaging/virtualghost.desktop"
svg=$REPO/packaging/icons/hicolor/scalable/apps/virtualghost.svg
check 'the icon is well-formed' xmllint --noout --nonet "$svg"
check '... loads nothing external' same "$(grep -cE 'href|<script|<image|@import' "$svg")" 0
icons_are_the_drawing() {
    local size
    for size in 48 128; do
        rsvg-convert -w $size -h $size "$svg" -o "$work/icon.png"
        compare -metric RMSE "$work/icon.png" "$REPO/packaging/icons/hicolor/${size}x$size/apps/virtualghost.png" null: 2>&1 |
            awk -F'[()]' '{exit !($2 < 0.02)}' || return 1
    done
}
check '... and the small ones are made from it' icons_are_the_drawing

### Homebrew, winget, AUR

refuses 'a missing platform is named' "no virtualghost-$version-.* in .*all platforms" scripts packaging.sh "$version" "$files" "$out"
for platform in "${platforms[@]}"; do
    file=$files/virtualghost-$version-$platform$(program_suffix "$platform")
    [ -e "$file" ] || echo "stands in for $platform" >"$file"
done
PROJECT_URL='' refuses 'no address: the message names the setting' 'PROJECT_URL=https' scripts packaging.sh "$version" "$files" "$out"
refuses "another version than Cargo.toml's is refused" "in Cargo.toml is $version, not 9.9.9" scripts packaging.sh 9.9.9 "$files" "$out"
check 'the templates are filled in' scripts packaging.sh "$version" "$files" "$out"

ruby_urls() { grep -oE '(url|sha256) "[^"]*"' "$out/homebrew/virtualghost.rb" | cut -d'"' -f2 | paste - - | sort; }
expected_urls() {
    local platform
    for platform in linux-x86_64 linux-aarch64 macos-x86_64 macos-aarch64 share.tar.gz; do
        printf '%s\t%s\n' "$PROJECT_URL/releases/download/v$version/virtualghost-$version-$platform" \
            "$(sha256sum <"$files/virtualghost-$version-$platform" | cut -d' ' -f1)"
    done | sort
}
check 'Homebrew: Ruby reads it' ruby -wc "$out/homebrew/virtualghost.rb"
check 'Homebrew: each address has the checksum of its file' same "$(ruby_urls)" "$(expected_urls)"

winget_is_valid() {
    python3 - "$REPO/tests/build/winget.schema.json" "$out"/winget/*.yaml <<'END'
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
types = []
for path in sys.argv[2:]:
    manifest = yaml.safe_load(open(path))
    branch = [one for one in schema["oneOf"] if one["properties"]["ManifestType"]["const"] == manifest["ManifestType"]]
    jsonschema.validate(manifest, {**branch[0], "definitions": schema["definitions"]})
    assert path.split("/")[-1].startswith(manifest["PackageIdentifier"]), path
    types.append(manifest["ManifestType"])
assert sorted(types) == ["defaultLocale", "installer", "version"], types
END
}
check 'winget: three manifests within the rules' winget_is_valid
check 'winget: the checksum is the executable'\''s' grep -q "InstallerSha256: $(sha256sum <"$files/virtualghost-$version-windows-x86_64.exe" | cut -d' ' -f1)" \
    "$out/winget/VirtualGhost.VirtualGhost.installer.yaml"
sed -i 's/^InstallerType: .*/InstallerType: tarball/' "$out/winget/VirtualGhost.VirtualGhost.installer.yaml"
refuses 'winget: ... and a broken rule is found' "'tarball' is not one of" winget_is_valid

# makepkg refuses to run as root.
as_nobody() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
install -dm777 "$work/makepkg" # it must be able to write to the current folder
srcinfo() { (cd "$work/makepkg" && cp "$out/aur/PKGBUILD" . && as_nobody env HOME="$work/makepkg" makepkg --printsrcinfo); }
chmod -R go+rX "$out"
pkgbuild=$out/aur/PKGBUILD
check 'AUR: bash reads the PKGBUILD' bash -n "$pkgbuild"
# makepkg reads some variables and sets others.
check 'AUR: shellcheck finds nothing' shellcheck -s bash -e SC2034,SC2154,SC2164 "$pkgbuild"
check 'AUR: .SRCINFO is what makepkg prints' same "$(srcinfo)" "$(cat "$out/aur/.SRCINFO")"
# namcap's rules for a PKGBUILD.
namcap_like() {
    local field bad=0
    for field in pkgname pkgver pkgrel pkgdesc arch url license; do
        grep -q "^$field=" "$pkgbuild" || { echo "no $field"; bad=1; }
    done
    head -1 "$pkgbuild" | grep -q '^# Maintainer: ' || { echo 'no maintainer'; bad=1; }
    ! grep -nE '(^|[^"])\$(pkgdir|srcdir)([^"]*$|[^"/])' "$pkgbuild" | grep -v '"' || bad=1
    ! grep -nE '^(md5|sha1)sums|SKIP|[ 	]+$|pkgdesc=.*(virtualghost-bin)' "$pkgbuild" || bad=1
    grep -q 'usr/share/licenses/\$pkgname' "$pkgbuild" || { echo 'no licence file, which MIT asks for'; bad=1; }
    [ "$(grep -c '^source' "$pkgbuild")" = "$(grep -c '^sha256sums' "$pkgbuild")" ] || { echo 'sources and checksums differ'; bad=1; }
    return $bad
}
check "AUR: namcap's rules are met" namcap_like
# The package function, with the files that makepkg would have downloaded.
package() {
    rm -rf "$work/aur"
    mkdir -p "$work/aur/src" "$work/aur/pkg"
    cp "$files/virtualghost-$version-linux-x86_64" "$work/aur/src/"
    tar -C "$work/aur/src" -xzf "$files/virtualghost-$version-share.tar.gz"
    (cd "$work/aur/src" && CARCH=x86_64 pkgdir=$work/aur/pkg srcdir=$work/aur/src bash -ec '. "$1"; package' sh "$pkgbuild")
}
check 'AUR: it packages, ...' package
# Debian has another folder for zsh, and man pages compressed (makepkg does that after this function).
check '... the same files as the .deb' same "$(cd "$work/aur/pkg" && find . -path ./usr/share/doc -prune -o -path ./usr/share/licenses -prune -o -type f -print | sort)" \
    "$(cd "$work/deb" && find . -path ./usr/share/doc -prune -o -path ./usr/share/lintian -prune -o -type f -print | sed 's,vendor-completions,site-functions,; s,[.]1[.]gz$,.1,' | sort)"

### The whole

sums_are_complete() { (cd "$files" && sha256sum --quiet -c SHA256SUMS && diff <(cut -c67- SHA256SUMS | sort) <(find . -type f ! -name SHA256SUMS -printf '%P\n' | sort)); }
check 'SHA256SUMS has every file' sums_are_complete
sums=$(cat "$files/SHA256SUMS")
check 'filled in twice, ...' scripts packaging.sh "$version" "$files" "$out"
check '... it is the same' same "$(cat "$files/SHA256SUMS")" "$sums"
DRY_RUN=1 check 'all of it would be uploaded' says "gh release create v$version .*virtualghost-$version-packages.tar.gz .*_$version-1_" scripts publish.sh "v$version" "$files"
DRY_RUN=1 refuses "a tag that is not Cargo.toml's version is refused" "the tag must be v$version" scripts publish.sh v9.9.9 "$files"
echo more >>"$files/virtualghost-$version-linux-x86_64"
DRY_RUN=1 refuses 'a file that does not match SHA256SUMS is refused' 'do not match' scripts publish.sh "v$version" "$files"

### The guest as one file

mkdir -p "$work/build"/{kernel,rootfs} "$work/elsewhere"
for part in kernel rootfs; do echo '{}' >"$work/build/$part/manifest.json"; done
truncate -s 64M "$work/build/rootfs/rootfs.ext4"
echo image >>"$work/build/rootfs/rootfs.ext4"
check 'a guest is packed' scripts guest.sh pack "$work/build" "$work/guest.tar.zst"
check '... and unpacked elsewhere' scripts guest.sh unpack "$work/guest.tar.zst" "$work/elsewhere"
check '... as it was' diff -r "$work/build" "$work/elsewhere"
check '... with its holes' test "$(du -k "$work/elsewhere/rootfs/rootfs.ext4" | cut -f1)" -lt 1000
other=aarch64 && [ "$HOST_ARCH" = x86_64 ] || other=x86_64
ARCH=$other refuses 'one of another architecture is refused' "is for $HOST_ARCH, not for $other" scripts guest.sh unpack "$work/guest.tar.zst" "$work/elsewhere"
head -c 100 "$work/guest.tar.zst" >"$work/cut.tar.zst"
refuses 'a truncated one is refused' "cannot be unpacked" scripts guest.sh unpack "$work/cut.tar.zst" "$work/elsewhere"
check '... and the old files stay' test -s "$work/elsewhere/rootfs/rootfs.ext4"

### The list of what is in the executable

mkdir "$work/build/qemu"
echo '{"version": "6.12", "package": "linux-source"}' >"$work/build/kernel/manifest.json"
echo '{"version": "10.0", "packages": {"libglib2.0-0": "2.74"}}' >"$work/build/qemu/manifest.json"
jq -n '{spdxVersion: "SPDX-2.3", documentNamespace: "https://spdx.org/spdxdocs/virtualghost-rootfs-0", documentDescribes: ["SPDXRef-Image"],
    packages: [{SPDXID: "SPDXRef-Image", name: "virtualghost-rootfs"}],
    relationships: [{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-Image"}]}' \
    >"$work/build/rootfs/sbom.spdx.json"
sbom() { scripts sbom.sh "$work/build" >"$work/sbom.json" && jq -e "$1" "$work/sbom.json"; }
check 'the list has kernel, QEMU, its libraries, the image and the crates' sbom \
    '[.packages[].name] | contains(["virtualghost", "linux", "qemu", "libglib2.0-0", "virtualghost-rootfs", "clap"])'
check '... each once, ...' sbom '[.packages[].SPDXID] | length == (unique | length)'
check '... and each as a part of something that is there' sbom '([.packages[].SPDXID] + ["SPDXRef-DOCUMENT"]) as $there
    | all(.relationships[]; ([.spdxElementId, .relatedSpdxElement] - $there) == [])
    and ([.packages[].SPDXID] - [.relationships[].relatedSpdxElement] == [])'

### The workflows

check 'the workflows are sound' scripts release-dry-run.py --check
check 'the Linux steps of a release are known' says '^linux: make deb$' scripts release-dry-run.py --list
if command -v actionlint >/dev/null; then
    check 'actionlint finds nothing' actionlint "$REPO"/.github/workflows/*.yml
else
    skip 'actionlint finds nothing' 'actionlint is not installed'
fi
# broken_workflow SED [FILE]: checks the workflows with one of them changed.
broken_workflow() {
    local file=$work/tree/.github/workflows/${2:-release.yml}
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    cp -r "$REPO"/{.github,scripts,Makefile,Cargo.toml} "$work/tree/"
    sed -E "$1" "$REPO/.github/workflows/${2:-release.yml}" >"$file"
    ! cmp -s "$file" "$REPO/.github/workflows/${2:-release.yml}" || { echo "the change changed nothing" && return; }
    "$work/tree/scripts/release-dry-run.py" --check
}
refuses 'found: a step that is no target' 'no such target: debb' broken_workflow 's/make deb$/make debb/'
refuses 'found: a step that is no script' 'a make target or a script' broken_workflow 's/make deb$/cargo deb/'
refuses 'found: a platform that no job builds' 'platforms: built are' broken_workflow 's/platform: macos-x86_64/platform: macos-riscv/'
refuses "found: a guest of another architecture than its host's" 'gets a guest for aarch64' broken_workflow 's/arch: x86_64, platform: linux/arch: aarch64, platform: linux/'
refuses 'found: a guest that no job builds' 'no job builds a guest for aarch64' broken_workflow '/arch: aarch64, runner: ubuntu-24.04-arm, flavour/d'
refuses 'found: a secret that signing does not use' 'knows no MACOS_KEY' broken_workflow 's/secrets.MACOS_NOTARY_KEY /secrets.MACOS_KEY /'
refuses 'found: an expression in a command' 'give it by env' broken_workflow 's/run: make packages/run: make packages X=${{ github.ref_name }}/'
refuses 'found: a release without tests' 'calls ci.yml' broken_workflow 's,uses: ./.github/workflows/ci.yml,uses: ./.github/workflows/release.yml,'
refuses 'found: a job that does not wait for them' 'guest: does not wait for the tests' broken_workflow '/needs: tests/d'
refuses 'found: an action that is pinned to a tag' 'checkout@v6: an action is pinned' broken_workflow 's/checkout@.*/checkout@v6/' ci.yml
refuses 'found: a workflow without permissions' 'ci.yml: no permissions' broken_workflow 's/^permissions:/x:/' ci.yml
refuses 'found: a job without a time limit' 'oldest-rust: no timeout-minutes' broken_workflow '/oldest-rust:/,/steps:/{/timeout/d}' ci.yml
finish
