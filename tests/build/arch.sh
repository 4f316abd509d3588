#!/usr/bin/env bash
# The arch flavour, with a small signed repository of stub packages that this test makes: every step from pacman to the
# image. Stubs contain this machine's programs if the build runs them in the root.
# Usage: tests/build/arch.sh
# shellcheck disable=SC2016 # programs for other shells
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
# shellcheck source=scripts/rootfs/arch.sh
. "$REPO/scripts/rootfs/arch.sh"
need pacman bsdtar gpg gpgconf zstd debugfs jq
work=$(mktemp -d)
export GNUPGHOME=$work/gnupg PACMAN_KEYRING=$work/gnupg
trap 'gpgconf --kill all; rm -rf "$work"' EXIT
mirror=$work/mirror

# programs NAME PATH…: this machine's programs and their libraries, as files of the stub package NAME.
programs() {
    local files=$work/package/$1 path library
    shift
    mkdir -p "$files/usr/bin" "$files/usr/lib"
    for path in "$@"; do
        install -m755 "$(command -v "$path")" "$files/usr/bin/"
        while read -r library; do
            # The loader is in `filesystem`; the rest is where the loader searches without a cache.
            case $library in
            */ld-linux*) ;;
            *) [ -e "$libraries/${library##*/}" ] || install -m755 "$library" "$libraries/" ;;
            esac
        done < <(ldd "$(command -v "$path")" | grep -oE '/[^ ]+\.so[^ ]*')
    done
}

# package REPOSITORY NAME [VERSION [DEPENDENCY…]]: packs $work/package/NAME with its .INSTALL, signs it, and writes its
# entry for the repository's index.
package() {
    local name=$2 version=${3:-1-1} files=$work/package/$2 pool=$mirror/$1/os/x86_64 entry=$work/index/$1/$2 file
    shift "$(($# < 3 ? $# : 3))"
    mkdir -p "$files/usr/share/stub" "$pool" "$entry-$version"
    echo "$name" >"$files/usr/share/stub/$name"
    {
        printf '%s = %s\n' pkgname "$name" pkgbase "$name" pkgver "$version" pkgdesc stub builddate 1 packager test \
            size 1 arch any license "$(licence "$name")"
        (($# == 0)) || printf 'depend = %s\n' "$@"
    } >"$files/.PKGINFO"
    file=$pool/$name-$version-any.pkg.tar.zst
    (cd "$files" && find . -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | bsdtar -cf - --uid 0 --gid 0 -T -) | zstd -q -1 >"$file"
    gpg --batch --quiet --detach-sign "$file"
    {
        printf '%%%s%%\n%s\n\n' FILENAME "${file##*/}" NAME "$name" BASE "$name" VERSION "$version" ARCH any \
            CSIZE "$(stat -c %s "$file")" ISIZE 1 SHA256SUM "$(sha256sum <"$file" | cut -d' ' -f1)" LICENSE "$(licence "$name")"
        (($# == 0)) || printf '%s\n' %DEPENDS% "$@" ''
    } >"$entry-$version/desc"
}

# index REPOSITORY: makes the list of its packages, which pacman downloads.
index() { (cd "$work/index/$1" && tar -czf "$mirror/$1/os/x86_64/$1.db" -- *); }

licence() {
    case $1 in
    ghostty) echo MIT ;;
    systemd) echo 'LGPL-2.1-or-later OR GPL-2.0-only WITH Linux-syscall-note' ;;
    *) echo GPL2 ;; # an old name, not an SPDX expression
    esac
}

# stub_repository: makes core and extra, with every package of the list, and one that only a dependency names.
stub_repository() {
    local name files=$work/package libraries=$work/package/filesystem/usr/lib
    mkdir -p "$files/filesystem/"{boot,dev,etc,home,proc,root,run,sys,tmp,usr/bin,usr/lib,usr/share/doc,var/log}
    ln -s bin "$files/filesystem/usr/sbin"
    ln -s lib "$files/filesystem/usr/lib64"
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$files/filesystem/$name"; done
    install -m755 /lib64/ld-linux-x86-64.so.2 "$libraries/"
    printf 'root:x:0:0::/root:/bin/bash\n' >"$files/filesystem/etc/passwd"
    printf 'root:x:0:\n' >"$files/filesystem/etc/group"
    printf 'root:*:0::::::\n' >"$files/filesystem/etc/shadow"
    printf 'root:*::\n' >"$files/filesystem/etc/gshadow"

    programs bash bash
    ln -s bash "$files/bash/usr/bin/sh"
    mkdir -p "$files/bash/etc" "$files/sudo/etc/sudoers.d"
    echo '# stub' >"$files/bash/etc/bash.bashrc"
    programs shadow useradd groupadd
    programs fontconfig fc-cache
    mkdir -p "$files/fontconfig/etc" "$files/e2fsprogs/etc"
    cp -rL /etc/fonts "$files/fontconfig/etc/fonts"
    programs e2fsprogs mkfs.ext4
    # The C library, for the agent.
    programs systemd "$REPO/assets/build/agent/ghostly-agent"
    cp /etc/mke2fs.conf "$files/e2fsprogs/etc/"
    mkdir -p "$files/systemd/usr/lib/"{systemd/system,sysusers.d} "$files/systemd/usr/share/libalpm/hooks"
    # A scriptlet and a hook, like those of real packages; both write to /dev/null.
    printf 'post_install() { echo hidden >/dev/null; echo ran >/etc/scriptlet; }\n' >"$files/systemd/.INSTALL"
    printf '%s\n' '[Trigger]' 'Type = Path' 'Operation = Install' 'Target = usr/share/stub/*' '[Action]' 'When = PostTransaction' \
        'Exec = /usr/bin/sh -c "echo hidden >/dev/null; echo ran >/etc/hook"' >"$files/systemd/usr/share/libalpm/hooks/10-stub.hook"
    printf 'g seat 970\nu stub 971\n' >"$files/systemd/usr/lib/sysusers.d/stub.conf"
    mkdir -p "$files/ghostty/usr/bin"
    printf '#!/bin/sh\necho Ghostty 1.3.1\n' >"$files/ghostty/usr/bin/ghostty"
    chmod 755 "$files/ghostty/usr/bin/ghostty"

    mkdir -p "$files/ghostty-terminfo/usr/share/terminfo/x" "$files/noto-fonts/usr/share/fonts/noto"
    touch "$files/ghostty-terminfo/usr/share/terminfo/x/xterm-ghostty" \
        "$files/noto-fonts/usr/share/fonts/noto/NotoSans"{Thai-Regular,Thai-Bold}.ttf

    package extra gtk4-layer-shell
    for name in "${arch_packages[@]}"; do
        case $name in
        ghostty) package extra ghostty 1.3.1-2 gtk4-layer-shell ;;
        filesystem) package core "$name" ;;
        bash) package core "$name" 1-1 filesystem ;;
        *) package extra "$name" 1-1 filesystem bash ;;
        esac
    done
    index core
    index extra
}

# build CACHE OUT
build() {
    FLAVOUR=arch ARCH_MIRROR=file://$mirror VIRTUALGHOST_BUILD_CACHE=$1 "$REPO/scripts/build-rootfs.sh" "$2"
}

# inside PATH: prints a file in the image.
inside() { debugfs -R "cat $1" "$work/out/rootfs.img" 2>/dev/null; }

# files OUT: prints a digest of the image's files, not of the image: this machine's mkfs.ext4, which the stubs contain, may
# be too old to write folders in a fixed order.
files() {
    mkdir "$1/files"
    debugfs -R "rdump / $1/files" "$1/rootfs.img" 2>/dev/null
    tar -C "$1/files" --sort=name --mtime=@0 --exclude=./lost+found -cf - . | sha256sum
}

mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'stub packager' ed25519 sign
stub_repository

check 'the image is built' build "$work/cache" "$work/out"
check 'its manifest names flavour, terminal and version' jq -e '.component == "rootfs" and .flavour == "arch" and
    .terminal == "ghostty" and .terminal_version == "1.3.1-2" and .packages["gtk4-layer-shell"] == "1-1"' "$work/out/manifest.json"
check 'every package of the list is in it' jq -e '. as $m | $ARGS.positional - ($m.packages | keys) == []' \
    "$work/out/manifest.json" --args "${arch_packages[@]}"
check 'only SPDX licences are claimed' jq -e '[.packages[] | {(.name): .licenseDeclared}] | add |
    .ghostty == "MIT" and .systemd == "(LGPL-2.1-or-later OR GPL-2.0-only WITH Linux-syscall-note)" and .bash == "NOASSERTION"' \
    "$work/out/sbom.spdx.json"
check 'scriptlets ran' test "$(inside /etc/scriptlet)" = ran
check 'hooks ran' test "$(inside /etc/hook)" = ran
check "the services' users are there" grep -q '^seat:x:970:' <(inside /etc/group)
check 'its mirror is the one of the build' test "$(inside /etc/pacman.d/mirrorlist)" = "Server = file://$mirror/\$repo/os/\$arch"
check 'it has the keys that check packages' test -n "$(inside /etc/pacman.d/gnupg/pubring.kbx | tr -d '\0')"
check 'of the Noto fonts the listed faces stay' test "$(debugfs -R 'ls -p /usr/share/fonts/noto' "$work/out/rootfs.img" 2>/dev/null | grep -o 'NotoSans[^/]*')" = NotoSansThai-Regular.ttf
check 'it has no secret key' test -z "$(debugfs -R 'ls -p /etc/pacman.d/gnupg/private-keys-v1.d' "$work/out/rootfs.img" 2>/dev/null | tr -d '\n')"
check 'it is built a second time' build "$work/cache2" "$work/out2"
check 'both have the same files and modes' test "$(files "$work/out")" = "$(files "$work/out2")"
build "$work/cache" "$work/out3" 2>"$work/third" || true
check 'the same packages come from the build cache' grep -q 'from the build cache' "$work/third"

rm -r "$work/index/extra/nano-1-1"
package extra nano 2-1
index extra
cp "$mirror/extra/os/x86_64/less-1-1-any.pkg.tar.zst.sig" "$mirror/extra/os/x86_64/nano-2-1-any.pkg.tar.zst.sig"
refuses 'a package whose signature does not match is refused' 'nano.*(corrupt|invalid)' build "$work/cache" "$work/out4"
rm "$mirror/extra/os/x86_64/extra.db"
refuses 'the mirror does not answer: the message names the other flavour' 'FLAVOUR=debian' build "$work/cache" "$work/out5"
finish
