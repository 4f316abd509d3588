# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # shares variables with scripts/package-qemu.sh, which sources it
# The QEMU bundle on Linux: bin/, lib/, lib/qemu/ (modules), share/qemu/ (firmware), share/fonts/ (GTK computes
# sizes from one).
#
# Where a Debian archive is known to apt, QEMU is built from Debian's source (build.sh): it runs with glibc 2.31 and later.
# Elsewhere, or with QEMU=/path/to/qemu-system-ARCH, it is the QEMU of this system.
#
# The libraries are found by following DT_NEEDED; each object gets a RUNPATH of its own relative to itself, because
# unlike RPATH, RUNPATH does not count for a library's libraries.
#
# Run it as: QEMU_MODULE_DIR=OUT/lib/qemu OUT/bin/qemu-system-ARCH -L OUT/share/qemu …
# With `-display gtk` also, so that GTK neither depends on the host's files nor loads plugins made for another GTK:
#   FONTCONFIG_FILE=OUT/share/fonts/fonts.conf GIO_MODULE_DIR=OUT/share/none GDK_PIXBUF_MODULE_FILE=/dev/null
#   GSETTINGS_BACKEND=memory GTK_THEME=Adwaita NO_AT_BRIDGE=1, and GTK_MODULES, GTK_PATH, GTK_IM_MODULE_FILE unset.

need jq
program=bin/$emulator
libraries=lib modules_in=lib/qemu module_suffix=.so
licence_names=(-name copyright -o -path '*/licenses/*')
sources=("$REPO/assets/qemu/window.c" "$REPO/scripts/qemu/finish.sh")
remedy="Install the package that has it."

choose_source() {
    system_qemu=
    if [ -n "${QEMU:-}" ]; then
        system_qemu=$(realpath -e "$QEMU") || die "QEMU=$QEMU is no file"
    elif ! (command -v apt-get && command -v dpkg-deb && debian_mirror) >/dev/null 2>&1; then
        system_qemu=$(command -v "$emulator") ||
            die "apt knows no Debian archive and there is no $emulator; install QEMU, or say QEMU=/path"
        system_qemu=$(realpath "$system_qemu")
    fi
    if [ -n "$system_qemu" ]; then
        need patchelf gcc nm strip
    else
        # shellcheck source=scripts/qemu/build.sh
        . "$REPO/scripts/qemu/build.sh"
        sources+=("${build_key[@]}")
    fi
}

find_files() { if [ -n "$system_qemu" ]; then system_files; else built_files "$1"; fi; }

# built_files DIR: builds QEMU there; its libraries and firmware are the chroot's.
built_files() {
    local path
    build_qemu "$1"
    version=${pinned_version#*:}
    version=${version%%[!0-9.]*}
    date=$(newest_package "$1") suite=$pinned_suite
    while IFS= read -r path; do
        : "${located[${path##*/}]:=$path}"
    done < <(find "$1"/root/build/out "$1"/root/usr/lib/*-linux-gnu "$1"/root/usr/share/{qemu,seabios,fonts} \
        \( -name "*.so" -o -name DejaVuSans.ttf -o -name "*.so.*" -o -name "*.bin" -o -name "$emulator" \) 2>/dev/null | LC_ALL=C sort)
}

# system_files: the QEMU of this system, its modules and firmware, and the loader's own list of libraries.
system_files() {
    local name path prefix
    prefix=$(dirname "$(dirname "$system_qemu")")
    while read -r name path; do : "${located[$name]:=$path}"; done < <(
        PATH=$PATH:/sbin ldconfig -p | sed -nE 's/^\s*(\S*) \(.*(x86-64|AArch64).*\) => (.*)/\1 \3/p')
    # What lies beside the program counts more: a QEMU in a folder of its own may have its own libraries.
    while IFS= read -r path; do located[${path##*/}]=$path; done < <(
        {
            firmware_folders
            printf '%s\n' ${QEMU_MODULE_DIR:+"$QEMU_MODULE_DIR"} "$prefix"/lib*/qemu "$prefix"/lib/*/qemu
            [ "$prefix" = /usr ] || printf '%s\n' "$prefix"/lib{,64}
        } | while IFS= read -r path; do
            find -L "$path" -maxdepth 1 \( -name '*.so' -o -name '*.so.*' -o -name '*.bin' \) 2>/dev/null || true
        done)
    located[DejaVuSans.ttf]=$(fc-match -f '%{file}' 'DejaVu Sans' 2>/dev/null) || true # or what it has instead
    located[$emulator]=$system_qemu
    version=$(qemu_version)
}

package_of() {
    local path=$1 name
    case $path in
    "$work"/root/build/*) printf '%s\t%s\t%s\n' qemu "$pinned_version" "$work/root/build/source/debian" ;;
    "$work"/root/*)
        name=$(awk -v path="${path#"$work"/root/}" '$2 == path {print $1; exit}' "$work/files")
        printf '%s\t%s\t%s\n' "$name" "$(awk -v name="$name" '$1 == name {print $2; exit}' "$work/packages")" \
            "$work/root/usr/share/doc/$name"
        ;;
    *)
        path=$(realpath "$path")
        if command -v dpkg-query >/dev/null && name=$(dpkg-query -S "$path" 2>/dev/null | head -1); then
            name=${name%%:*}
            printf '%s\t%s\t%s\n' "$name" "$(dpkg-query -W -f '${Version}\n' "$name" | head -1)" "/usr/share/doc/$name"
        elif command -v pacman >/dev/null && pacman -Qqo "$path" >/dev/null 2>&1; then
            pacman_package "$path" /usr/share/licenses
        elif command -v rpm >/dev/null && name=$(rpm -qf --qf '%{NAME}\n' "$path" 2>/dev/null); then
            printf '%s\t%s\t%s\n' "$name" "$(rpm -q --qf '%{VERSION}-%{RELEASE}' "$name")" "/usr/share/licenses/$name"
        fi
        ;;
    esac
}

needed() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}'; }

from_host() { matches "$1" "${host_libraries[@]}"; }

library_path() {
    found=${located[$1]:-}
    [ -n "$found" ]
}

# fonts: one font for GTK's menus. Without any GTK 3 computes windows that are 32767 pixels high; with the
# host's, fontconfig reads a configuration and a cache that may be too new for it, and scans every font.
fonts() {
    [ -n "${located[DejaVuSans.ttf]:-}" ] || return 0
    mkdir -p "$bundle/share/fonts"
    take "${located[DejaVuSans.ttf]}" "$bundle/share/fonts/${located[DejaVuSans.ttf]##*/}"
    cat >"$bundle/share/fonts/fonts.conf" <<'END'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">.</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
END
}

finish() {
    local how=system licences=/usr/share/common-licenses name
    [ -n "$system_qemu" ] || how=built licences=$work/root/usr/share/common-licenses
    fonts
    [ ! -d "$licences" ] || cp -rL "$licences" "$bundle/share/doc"
    local -a arguments=("$emulator" "$how")
    for name in "${stubs[@]}"; do arguments+=("${located[$name]#"$work/root"}"); done
    if [ "$how" = system ]; then
        "$REPO/scripts/qemu/finish.sh" "$bundle" "${arguments[@]}"
    else
        finish_in_chroot "$work" "$bundle" "${arguments[@]}"
    fi
}
