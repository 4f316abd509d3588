#!/usr/bin/env bash
# Builds a stand-in for Ghostty from the suite's GTK 4 and libadwaita, for tests of what a guest does with Ghostty.
# Usage: [ARCH=x86_64|aarch64] [SUITE=trixie] tests/ghostty-stand-in/build.sh FILE.deb|FILE.tar.gz
# It takes nothing of this machine but a compiler: headers and libraries are the suite's, unpacked into the build cache.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
export SOURCE_DATE_EPOCH
here=$REPO/tests/ghostty-stand-in
SUITE=${SUITE:-trixie} GHOSTTY=none
# shellcheck source=scripts/rootfs/debian.sh
. "$REPO/scripts/rootfs/debian.sh"
out=${1:-}
case $out in
*.deb | *.tar.gz) ;;
*) die "usage: $0 FILE.deb|FILE.tar.gz" ;;
esac
need apt-get dpkg-deb "$(tool_prefix)gcc" pkg-config tic
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make_sysroot DIR: what libadwaita-1-dev depends on, unpacked. No script of a package is run.
make_sysroot() {
    local archives=$apt_dir/cache/archives names name
    # shellcheck disable=SC2154 # apt_opts comes from private_apt
    mapfile -t names < <(apt-get "${apt_opts[@]}" -s install libadwaita-1-dev libc6-dev | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p')
    ((${#names[@]})) || die "apt finds no libadwaita-1-dev in $SUITE"
    say "headers and libraries of $SUITE: ${#names[@]} packages"
    apt-get "${apt_opts[@]}" -qq install --download-only -y libadwaita-1-dev libc6-dev >/dev/null
    mkdir -p "$1/sysroot/usr/lib" "$1/sysroot/usr/lib64"
    ln -s usr/lib "$1/sysroot/lib"
    ln -s usr/lib64 "$1/sysroot/lib64"
    for name in "${names[@]}"; do
        # Programs, data and what is large and only needed by other libraries at run time stay out. tar fails where a
        # package has no file of some kind; what is missing, the compiler says.
        case $name in
        libllvm* | libicu* | libgcc-*-dev*) ;;
        lib* | *-dev=* | shared-mime-info=* | wayland-protocols=*)
            dpkg-deb --fsys-tarfile "$archives/${name%%=*}_$(sed 's/.*=//; s/:/%3a/' <<<"$name")"_*.deb |
                tar -C "$1/sysroot" --keep-directory-symlink -x --wildcards --exclude='*/gallium*' --exclude='*/libgallium*' \
                    './usr/include/*' './usr/lib/linux/*' '*/pkgconfig/*' '*.so' '*.so.*' './usr/lib/*/include/*' '*crt*.o' '*/libc_nonshared.a' 2>/dev/null || true
            ;;
        esac
    done
    echo '{}' >"$1/manifest.json"
}

debian_apt
key=$(inputs_key "=$SUITE $ARCH $(apt-cache "${apt_opts[@]}" policy libadwaita-1-dev libgtk-4-dev libc6-dev | grep Candidate) $(declare -f make_sysroot)")
cached stand-in "$key" "$work/stand-in" make_sysroot
sysroot=$work/stand-in/sysroot
exec 8>&-

library=usr/lib/$ARCH-linux-gnu
export PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$sysroot/$library/pkgconfig:$sysroot/usr/share/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs libadwaita-1 epoxy)"
tree=$work/tree
mkdir -p "$tree/usr/bin" "$tree/usr/share/doc/ghostty" "$tree/usr/share/terminfo"
"$(tool_prefix)gcc" --sysroot="$sysroot" -std=gnu17 -O2 -Wall -Wextra -s -o "$tree/usr/bin/ghostty" "$here"/*.c \
    -isystem "$sysroot/usr/include" "${flags[@]}" -Wl,--unresolved-symbols=ignore-in-shared-libs
tic -x -o "$tree/usr/share/terminfo" - <<<'xterm-ghostty|ghostty|stand-in for Ghostty, use=xterm-256color,'
cp "$REPO/LICENSE" "$tree/usr/share/doc/ghostty/copyright"

case $out in
*.tar.gz) dated_tar "$out" "$tree" usr ;;
*.deb)
    mkdir "$tree/DEBIAN"
    cat >"$tree/DEBIAN/control" <<-END
	Package: ghostty
	Version: 1.3.1-0stand-in
	Architecture: $DEB_ARCH
	Maintainer: VirtualGhost
	Depends: libc6, libadwaita-1-0, libgtk-4-1, libepoxy0
	Description: stand-in for Ghostty
	END
    dpkg-deb --root-owner-group -Znone --build "$tree" "$out" >/dev/null
    ;;
esac
say "$out"
