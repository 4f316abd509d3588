# shellcheck shell=bash disable=SC2034,SC2154 # shares variables with scripts/qemu/linux.sh, which sources it
# QEMU from Debian's source, for this program alone: the devices and features of docker/qemu/devices.list, compiled in a
# chroot that is unpacked from packages of the pinned suite, with that suite's libraries. About 9 minutes of processor time.
#
# The suite is the newest stable one, because it is what gets security updates first, and its libraries are what the bundle
# carries. Its C library is newer than most hosts'; scripts/qemu/glibc.py lowers what the objects ask of it.
# shellcheck source=scripts/fetch.sh
. "$REPO/scripts/fetch.sh"

qemu_pin_path=$REPO/docker/qemu/qemu.pin
pinned_suite=$(sed -n 's/^suite //p' "$qemu_pin_path")
pinned_version=$(sed -n 's/^version //p' "$qemu_pin_path")

chroot_packages=(
    '?essential' gcc libc6-dev make meson ninja-build pkgconf flex bison python3-pip patch xz-utils patchelf
    libglib2.0-dev zlib1g-dev libpixman-1-dev libgtk-3-dev libsdl2-dev libepoxy-dev libgbm-dev libdrm-dev
    libvirglrenderer-dev libseccomp-dev libusb-1.0-0-dev libfdt-dev
    seabios qemu-system-data fonts-dejavu-core # firmware and a font
)

# What packages depend on and no build needs: sanitizers, drivers, sound, what installs and manages a system.
not_unpacked='^(lib(llvm|z3|icu|sqlite|opus|gl1-mesa-dri|glx-mesa|gtk-3-common|apt-pkg|asan|hwasan|lsan|tsan|ubsan|gprofng)|mesa-lib|systemd$|apt$|dpkg$|openssl$|debconf|procps|util-linux|adwaita|hicolor|python3-wheel|gir1)'

# pin_files: prints NAME SHA256 SHA1 of each file of the source.
pin_files() { sed -n 's/^file //p' "$qemu_pin_path"; }

# fetch_source DIR: fetches the pinned source and unpacks it to DIR/source.
fetch_source() {
    local name sha256 sha1 url mirror
    mirror=$(debian_mirror)
    mkdir "$1/source"
    while read -r name sha256 sha1; do
        for url in "$mirror/pool/main/q/qemu/$name" "$mirror-security/pool/updates/main/q/qemu/$name" \
            "https://snapshot.debian.org/file/$sha1?$name"; do
            ! fetch "$url" "$sha256" || break
            url=
        done
        [ -n "$url" ] || die "the source of QEMU $pinned_version is not in the archive ($name: $fetch_failure); a newer one may be: make update-qemu"
        case $name in
        *.orig.tar.xz) tar -C "$1/source" --strip-components=1 -xJf "$fetched" ;;
        *.debian.tar.xz) tar -C "$1/source" -xJf "$fetched" ;;
        esac
    done < <(pin_files)
}

# unpack_chroot DIR: makes DIR/root of the suite's packages as they are today, none of which is configured, and notes the
# packages (DIR/packages: name, version) and their files (DIR/files: name, path). Downloads are kept in the build cache.
unpack_chroot() {
    local dir=$1 root=$1/root name version arch link missing
    local -a apt_opts
    mkdir -p "$root"/{usr/{bin,sbin,lib,lib64},dev,proc,tmp,build/out}
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
    (
        deb_path() { printf '%s\n' "$apt_dir/cache/archives/${name}_${version//:/%3a}_$arch.deb"; }
        apt_dir=$(build_cache_path)/apt/$pinned_suite-$(deb_arch "$HOST_ARCH")
        mkdir -p "$apt_dir"
        exec 8>"$apt_dir.lock"
        flock 8
        private_apt "$apt_dir" "$pinned_suite" "$pinned_suite-updates" "$pinned_suite-security"
        apt-get "${apt_opts[@]}" -s install "${chroot_packages[@]}" |
            sed -nE 's/^Inst (\S+) \((\S+) .*\[(\S+)\].*/\1 \2 \3/p' | grep -vE "$not_unpacked" | LC_ALL=C sort >"$dir/packages"
        [ -s "$dir/packages" ] || die "apt found no $pinned_suite to build QEMU in"
        missing=()
        while read -r name version arch; do
            [ -s "$(deb_path)" ] || missing+=("$name=$version")
        done <"$dir/packages"
        say "unpacking $(wc -l <"$dir/packages") packages of $pinned_suite, ${#missing[@]} to download"
        ((${#missing[@]} == 0)) || (cd "$apt_dir/cache/archives" && apt-get "${apt_opts[@]}" -qq download "${missing[@]}" >/dev/null) ||
            die "apt could not download all of: ${missing[*]}"
        while read -r name version arch; do
            dpkg-deb --fsys-tarfile "$(deb_path)" | tar -C "$root" --keep-directory-symlink --no-same-owner -xvf - 2>/dev/null |
                sed -n "s,^\./\(.*[^/]\)$,$name \1,p" >>"$dir/files" || die "$(deb_path) could not be unpacked"
        done <"$dir/packages"
    )
    # What the packages' scripts would link.
    [ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
    [ -e "$root/bin/awk" ] || ln -s mawk "$root/bin/awk"
}

# in_chroot DIR COMMAND…: with the devices that a compiler needs, by whatever way this machine permits: this machine's in a
# mount namespace, or new nodes.
in_chroot() {
    local root=$1/root unshare=(unshare --mount)
    shift
    as_root "${unshare[@]}" true 2>/dev/null || unshare=()
    # shellcheck disable=SC2016 # for the other shell
    as_root "${unshare[@]}" bash -euc '
        root=$1 private=$2
        shift 2
        for device in null zero urandom; do
            if [ -n "$private" ]; then
                touch "$root/dev/$device"
                mount --bind "/dev/$device" "$root/dev/$device"
            else
                mknod -m 666 "$root/dev/$device" c 1 "$((0x$(stat -c %T "/dev/$device")))"
            fi
        done
        exec env -i PATH=/usr/bin:/usr/sbin HOME=/tmp SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" chroot "$root" "$@"
    ' bash "$root" "${unshare[*]}" "$@"
}

# The files that the chroot has of this repository, in the same places below /build.
build_inputs=("$REPO"/scripts/{lib.sh,fetch.sh,qemu/build.sh,qemu/compile.sh,qemu/finish.sh,qemu/glibc.py}
    "$REPO"/assets/qemu/{window,old_hosts}.c "$REPO"/docker/qemu/{devices.list,qemu.pin})

# What of these and of the archive makes the bundle. A comment of a list does not; neither does the rest of lib.sh and fetch.sh.
build_key=("$REPO"/scripts/qemu/{build.sh,compile.sh,finish.sh,glibc.py} "$REPO"/assets/qemu/{window,old_hosts}.c
    "=$(sed 's/#.*//' "$REPO"/docker/qemu/{devices.list,qemu.pin} | tr -s ' ' | grep .)"
    "=$(declare -f private_apt stub_source version_script fetch)" "=$SOURCE_DATE_EPOCH")

# build_qemu DIR: compiles QEMU in DIR/root; the program, its modules and the library that is loaded first are in
# DIR/root/build/out.
build_qemu() {
    unpack_chroot "$1"
    fetch_source "$1/root/build"
    (cd "$REPO" && cp --parents "${build_inputs[@]#"$REPO"/}" "$1/root/build/")
    say "compiling QEMU $pinned_version with $(nproc) jobs"
    # shellcheck disable=SC2153 # of lib.sh
    in_chroot "$1" /build/scripts/qemu/compile.sh "$ARCH" "$(nproc)" >"$1/log" 2>&1 || {
        tail -30 "$1/log" >&2
        die "QEMU $pinned_version was not built; its last lines are above"
    }
}

# newest_package DIR: prints the day of the newest of the chroot's packages. The archive changes nearly every day, so that is
# about the day of the build, and the same packages give the same one.
newest_package() {
    local changelog
    for changelog in "$1"/root/usr/share/doc/*/changelog.Debian.gz; do
        [ ! -f "$changelog" ] || gzip -dc "$changelog" 2>/dev/null | sed -n '/^ -- /{s/.*>  //p;q}' || true
    done | date -u -f - +%F | LC_ALL=C sort | tail -n 1
}

# finish_in_chroot DIR BUNDLE ARGUMENT…: scripts/qemu/finish.sh with the chroot's tools.
finish_in_chroot() {
    local inside=$1/root/build/bundle dir=$1 bundle=$2
    shift 2
    mkdir "$inside"
    cp -a "$bundle"/{bin,lib} "$inside/"
    in_chroot "$dir" /build/scripts/qemu/finish.sh /build/bundle "$@" || die "QEMU's bundle was not finished"
    rm -r "${bundle:?}"/{bin,lib}
    cp -a "$inside"/{bin,lib} "$bundle/"
}
