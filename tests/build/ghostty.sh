#!/usr/bin/env bash
# GHOSTTY=FILE: which files are accepted, which are refused, and that the libraries are found from the ELF files. The
# stand-in for Ghostty is a small C program that links a few of the same libraries. It is linked with dummies of the right
# sonames; the real ones must be in the image when it runs.
# Usage: tests/build/ghostty.sh
# shellcheck disable=SC2016,SC2153,SC2154 # quoted for another shell; debian.sh sets SUITE and apt_dir
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
. "$REPO/scripts/rootfs/debian.sh"
# shellcheck source=scripts/rootfs/ghostty.sh
. "$REPO/scripts/rootfs/ghostty.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need gcc dpkg-deb mmdebstrap readelf jq
unset GHOSTTY GHOSTTY_PACKAGES
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fresh_root ROOT: unpacks a minimal trixie, which is made once.
fresh_root() {
    local tar
    tar=$(build_cache_path)/test/$SUITE-minbase.tar
    if [ ! -f "$tar" ]; then
        mkdir -p "$(dirname "$tar")"
        debian_apt
        mmdebstrap -q --mode=root --skip=chroot/mount --variant=minbase --format=tar \
            "$SUITE" "$tar.new" "$apt_dir/sources.list"
        exec 8>&-
        mv "$tar.new" "$tar"
    fi
    mkdir "$1"
    tar -C "$1" --exclude='./dev/*' -xf "$tar" # as in a user namespace, where no device can be made
}

# hand_in ROOT FILE: installs it as build-rootfs.sh does, in a subshell.
hand_in() {
    bash -c '. "$0/scripts/lib.sh"; . "$0/scripts/rootfs/debian.sh"; . "$0/scripts/rootfs/ghostty.sh"; install_ghostty "$@"' \
        "$REPO" "$@"
}

# stand_in TREE VERSION SONAME…: makes TREE/usr/bin/ghostty, which needs these sonames and a library of its own.
stand_in() {
    local tree=$1 version=$2 soname
    shift 2
    mkdir -p "$tree/usr/bin" "$tree/usr/lib/ghostty" "$work/link"
    echo 'int own(void) { return 0; }' | gcc -shared -fPIC -Wl,-soname,libown.so.1 -o "$tree/usr/lib/ghostty/libown.so.1" -xc -
    for soname in "$@"; do
        gcc -shared -Wl,-soname,"$soname" -o "$work/link/$soname" -xc /dev/null
    done
    gcc -o "$tree/usr/bin/ghostty" -xc - -xnone -Wl,--no-as-needed "${@/#/$work/link/}" \
        "$tree/usr/lib/ghostty/libown.so.1" -Wl,-rpath,'$ORIGIN/../lib/ghostty' <<-END
	#include <stdio.h>
	int own(void);
	int main(void) { return own() || printf("Ghostty $version\n\nVersion\n  - version: $version\n") < 0; }
	END
}

# deb TREE FILE VERSION [DEPENDS [ARCHITECTURE]]
deb() {
    mkdir -p "$1/DEBIAN"
    printf '%s\n' 'Package: ghostty' "Version: $3" "Architecture: ${5:-amd64}" 'Maintainer: test <test@localhost>' \
        ${4:+"Depends: $4"} 'Description: stand-in' >"$1/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$1" "$2" >/dev/null
}

sonames=(libgtk-4.so.1 libadwaita-1.so.0 libonig.so.5 libgio-2.0.so.0 libgtk4-layer-shell.so.0 libX11.so.6 libbz2.so.1.0)
stand_in "$work/tree" 1.3.1 "${sonames[@]}"
# Files of ncurses-term and of a package that its libraries bring.
mkdir -p "$work/tree/usr/share/terminfo/g" "$work/tree/usr/share/icons/Adwaita"
echo 'of Ghostty' | tee "$work/tree/usr/share/terminfo/g/ghostty" >"$work/tree/usr/share/icons/Adwaita/index.theme"
tar -C "$work/tree" -czf "$work/ghostty-1.3.1.tar.gz" ./usr

echo '--- refused before anything is installed'
mkdir "$work/empty"
echo 'no archive' >"$work/lie.deb"
refuses 'a file that is only named .deb is refused' 'lie.deb is neither a Debian package nor' \
    hand_in "$work/empty" "$work/lie.deb"
echo 'no archive' | gzip >"$work/lie.tar.gz"
refuses 'a gzipped file that is not a tar archive is refused' 'neither a Debian package nor a gzipped tar' \
    hand_in "$work/empty" "$work/lie.tar.gz"
refuses 'a missing file is named' 'no such file: .*/nowhere.deb' hand_in "$work/empty" "$work/nowhere.deb"
touch "$work/tree/own"
tar -C "$work/tree" -czPf "$work/traversal.tar.gz" --transform 's,^own,../../own,' usr own
rm "$work/tree/own"
refuses 'a member with .. in its path is refused' 'would write outside the image: ../../own' \
    hand_in "$work/empty" "$work/traversal.tar.gz"
tar -C "$work/tree" -czf "$work/no-ghostty.tar.gz" usr/lib
refuses 'an archive without usr/bin/ghostty is refused' 'holds no usr/bin/ghostty' \
    hand_in "$work/empty" "$work/no-ghostty.tar.gz"
cp -r "$work/tree" "$work/tree-arm"
printf '\xb7' | dd of="$work/tree-arm/usr/bin/ghostty" bs=1 seek=18 conv=notrunc status=none # e_machine: EM_AARCH64
tar -C "$work/tree-arm" -czf "$work/arm.tar.gz" usr
refuses 'an archive for another architecture is refused' 'is for another architecture \(AArch64\); the image is for x86_64' \
    hand_in "$work/empty" "$work/arm.tar.gz"
check 'a refused file leaves nothing in the image' rmdir "$work/empty"

echo '--- a .tar.gz'
fresh_root "$work/root"
in_root() { chroot "$work/root" "$@"; }
of_ghostty() { grep -qx 'of Ghostty' "$work/root/$1"; }
# from_suite PACKAGE…: they are installed, or once more, as `apt` does it in the VM.
from_suite() (
    debian_apt
    ghostty_apt "$work/root" "$work" install -y --reinstall "$@"
)
from_suite ncurses-term
check 'a .tar.gz becomes the terminal, with the libraries it needs' hand_in "$work/root" "$work/ghostty-1.3.1.tar.gz"
record=$work/root/usr/share/virtualghost/terminal.json
check 'the record has the version and the file' jq -e --arg sha "$(sha256sum "$work/ghostty-1.3.1.tar.gz" | cut -d' ' -f1)" \
    '.terminal == "ghostty" and .terminal_version == "1.3.1" and .terminal_origin == {file: "ghostty-1.3.1.tar.gz", sha256: $sha}' "$record"
check 'its libraries are installed as packages' dpkg-query --root="$work/root" -W libgtk-4-1 libadwaita-1-0 libonig5 libgtk4-layer-shell0
check 'dpkg knows its files' grep -qx /usr/bin/ghostty "$work/root/var/lib/dpkg/info/ghostty.list"
check 'the settings schemas are compiled' test -s "$work/root/usr/share/glib-2.0/schemas/gschemas.compiled"
check 'the SVG loader is in the cache of loaders' grep -rq svg "$work/root/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders.cache"
check 'the icons are there' test -s "$work/root/usr/share/icons/Adwaita/index.theme"
check 'no script left a file in /dev' test -z "$(find "$work/root/dev" -type f)"
for file in usr/share/terminfo/g/ghostty usr/share/icons/Adwaita/index.theme; do
    check "where another package has the file too, Ghostty's is used: $file" of_ghostty "$file"
    check "the other one is kept beside it" test -s "$work/root/$file.distrib"
done
check 'dpkg finds nothing amiss' test -z "$(in_root dpkg --audit; in_root dpkg --verify ncurses-term adwaita-icon-theme ghostty)"
check 'the other package is upgraded as ever' from_suite ncurses-term adwaita-icon-theme
check "and the file stays Ghostty's" of_ghostty usr/share/terminfo/g/ghostty

echo '--- a .deb (in place of the archive before)'
stand_in "$work/tree-deb" 1.4.0 libonig.so.5
mkdir -p "$work/tree-deb/DEBIAN" "$work/tree-deb/usr/share/terminfo/g" "$work/tree-deb/usr/share/nano"
echo 'of Ghostty' | tee "$work/tree-deb/usr/share/terminfo/g/ghostty" >"$work/tree-deb/usr/share/nano/c.nanorc"
# As the community's package has it.
printf '%s\n' '#!/bin/sh' 'dpkg-divert --package ghostty --add --rename --divert /usr/share/terminfo/g/ghostty.distrib /usr/share/terminfo/g/ghostty' \
    >"$work/tree-deb/DEBIAN/preinst"
chmod 755 "$work/tree-deb/DEBIAN/preinst"
deb "$work/tree-deb" "$work/ghostty_1.4.0_amd64.deb" 1.4.0-1 'libonig5 (>= 6), nano (>= 1:9) | nano'
check 'a .deb becomes the terminal' hand_in "$work/root" "$work/ghostty_1.4.0_amd64.deb"
check 'its own Depends are installed' dpkg-query --root="$work/root" -W nano
check 'the record has its version' jq -e '.terminal_version == "1.4.0"' "$work/root/usr/share/virtualghost/terminal.json"

check 'a file of what it depends on is taken over, too' of_ghostty usr/share/nano/c.nanorc
check 'a package may divert the file itself' of_ghostty usr/share/terminfo/g/ghostty
check 'dpkg finds nothing amiss' test -z "$(in_root dpkg --audit; in_root dpkg --verify ncurses-term nano ghostty)"
check 'its dependencies are upgraded as ever' from_suite nano

echo '--- what can not work'
stand_in "$work/tree-unknown" 1.5.0 libonig.so.5 libnobody-has-this.so.7
deb "$work/tree-unknown" "$work/unknown.deb" 1.5.0-1
refuses 'a library without a known package is named' 'libnobody-has-this.so.7.*GHOSTTY_PACKAGES' \
    hand_in "$work/root" "$work/unknown.deb"
stand_in "$work/tree-depends" 1.6.0 libonig.so.5
deb "$work/tree-depends" "$work/depends.deb" 1.6.0-1 no-such-package
refuses 'a dependency that the suite lacks is named' 'no-such-package' hand_in "$work/root" "$work/depends.deb"
deb "$work/tree-depends" "$work/suite.deb" 1.6.0-1 'libc6 (>= 2.99)'
refuses 'a package for another suite is refused, and why is said' 'suite.deb is not for trixie: it depends on' \
    hand_in "$work/root" "$work/suite.deb"
refuses 'with the dependency' 'libc6 \(>= 2.99\)' hand_in "$work/root" "$work/suite.deb"
deb "$work/tree-depends" "$work/architecture.deb" 1.6.0-1 '' arm64
refuses 'a package for another architecture is refused' 'architecture.deb is for arm64; the image is for amd64' \
    hand_in "$work/root" "$work/architecture.deb"
printf '#!/bin/sh\necho "no GL here" >&2; exit 3\n' >"$work/tree-depends/usr/bin/ghostty"
deb "$work/tree-depends" "$work/broken.deb" 1.7.0-1
refuses 'a ghostty that does not run is refused with its message' 'does not run in the image: no GL here' \
    hand_in "$work/root" "$work/broken.deb"
echo '--- OpenGL that is too old for it'
guest=$work/guest
mkdir -p "$guest"
cp "$REPO/assets/guest/usr/lib/virtualghost/opengl" "$guest"
ln -s "$REPO/assets/guest/usr/lib/virtualghost/terminals/ghostty" "$guest/terminal"
printf '#!/bin/sh\necho "$@" >>"%s/told"\n' "$guest" >"$guest/ghostly-agent"
printf '#!/bin/sh\necho "software: ${LIBGL_ALWAYS_SOFTWARE-no}"\n' >"$guest/ghostty"
# offers VERSION: the settings that the terminal starts with.
offers() {
    printf '#!/bin/sh\n[ -z "%s" ] || echo "OpenGL core profile version: %s (Core Profile) Mesa 25.0.7"\n' "$1" "$1" >"$guest/eglinfo"
    chmod +x "$guest"/{eglinfo,ghostty,ghostly-agent}
    : >"$guest/told"
    [ "$(PATH=$guest:$PATH LIBGL_ALWAYS_SOFTWARE='' "$guest/terminal")" = "software: $2" ] && diff "$guest/told" <(printf '%s' "$3")
}
# shellcheck disable=SC2016
too_old() { printf 'report notice OpenGL %s is less than the 4.3 that Ghostty needs, so it renders in software\n' "$1"; }
check 'OpenGL 4.3 is used' offers 4.3 '' ''
check 'a later version is used too' offers 4.10 '' ''
check 'with an older version rendering is in software, and the host gets a notice' offers 4.1 true "$(too_old 4.1)"$'\n'
check 'without OpenGL too' offers '' true "$(too_old none)"$'\n'
finish
