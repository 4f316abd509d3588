# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # shares variables with scripts/package-qemu.sh, which sources it
# The QEMU bundle on Linux: bin/, lib/, lib/qemu/ (modules), share/qemu/ (firmware), share/fonts/ (GTK computes
# sizes from one).
#
# Where a Debian archive is known to apt, QEMU is taken from bookworm and its backports, whatever this
# system is (so glibc 2.36 is the oldest host); packages are unpacked in a temporary folder, none is installed.
# Elsewhere, or with QEMU=/path/to/qemu-system-ARCH, from the QEMU of this system.
#
# The libraries are found by following DT_NEEDED; each object gets a RUNPATH of its own relative to itself, because
# unlike RPATH, RUNPATH does not count for a library's libraries.
#
# Run it as: QEMU_MODULE_DIR=OUT/lib/qemu OUT/bin/qemu-system-ARCH -L OUT/share/qemu …
# With `-display gtk` also, so that GTK neither depends on the host's files nor loads plugins made for another GTK:
#   FONTCONFIG_FILE=OUT/share/fonts/fonts.conf GIO_MODULE_DIR=OUT/share/none GDK_PIXBUF_MODULE_FILE=/dev/null
#   GSETTINGS_BACKEND=memory GTK_THEME=Adwaita NO_AT_BRIDGE=1, and GTK_MODULES, GTK_PATH, GTK_IM_MODULE_FILE unset.

need patchelf cc nm strip jq
program=bin/$emulator
libraries=lib modules_in=lib/qemu module_suffix=.so
licence_names=(-name copyright -o -path '*/licenses/*')
sources=("$REPO/assets/qemu/window.c")
remedy="Install the package that has it."

case $ARCH in
x86_64) roots=(qemu-system-x86 seabios) ;;
aarch64) roots=(qemu-system-arm) ;;
esac
roots+=(qemu-system-gui qemu-system-modules-opengl qemu-system-common qemu-system-data)
plain_roots=(fonts-dejavu-core base-files) # the latter has the texts of the licences that the others only name
# Dependencies not worth a download: they hold no library that we take.
skipped='^lib(llvm|z3|icu|perl|db5|gl1-mesa-dri|glx-mesa|gtk-3-common|x11-data)|-(data|common|modules)$'

window_library=libvirtualghost-window.so

choose_source() {
    system_qemu=
    if [ -n "${QEMU:-}" ]; then
        system_qemu=$(realpath -e "$QEMU") || die "QEMU=$QEMU is no file"
    elif ! (command -v apt-get && command -v dpkg-deb && debian_mirror) >/dev/null 2>&1; then
        system_qemu=$(command -v "$emulator") ||
            die "apt knows no Debian archive and there is no $emulator; install QEMU, or say QEMU=/path"
        system_qemu=$(realpath "$system_qemu")
    fi
    [ -n "$system_qemu" ] || sources+=("=debian bookworm-backports")
}

find_files() { if [ -n "$system_qemu" ]; then system_files; else debian_files "$1"; fi; }

# debian_files DIR: downloads QEMU and the libraries that it depends on, and unpacks each to DIR/PACKAGE.
debian_files() {
    local dir=$1 deb package path
    local -a wanted
    local -a apt_opts
    private_apt "$dir/.apt" bookworm bookworm-security bookworm-updates bookworm-backports
    mapfile -t wanted < <(apt-get "${apt_opts[@]}" install -s "${plain_roots[@]}" "${roots[@]/%//bookworm-backports}" |
        sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' |
        awk -v skip="$skipped" '$1 ~ /^(lib|qemu-system-|seabios|fonts-dejavu|base-files)/ && ($1 !~ skip || $1 ~ /^qemu/) {print $1 "=" $2}')
    ((${#wanted[@]})) || die "apt found no QEMU in bookworm-backports"
    say "downloading ${#wanted[@]} packages"
    (cd "$dir/.apt" && apt-get "${apt_opts[@]}" -qq download "${wanted[@]}" >/dev/null)
    for deb in "$dir"/.apt/*.deb; do
        package=$(dpkg-deb -f "$deb" Package)
        mkdir "$dir/$package"
        dpkg-deb -x "$deb" "$dir/$package"
        dpkg-deb -f "$deb" Version >"$dir/$package/version"
    done
    version=$(sed 's/^[0-9]*://; s/[^0-9.].*//' "$dir/${roots[0]}/version")
    while IFS= read -r path; do
        : "${located[${path##*/}]:=$path}"
    done < <(find "$dir"/*/usr/{bin,lib,share/{qemu,seabios,fonts}} "$dir"/*/lib \
        \( -name '*.so' -o -name DejaVuSans.ttf -o -name '*.so.*' -o -name '*.bin' -o -name "$emulator" \) 2>/dev/null | sort)
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
    "$work"/*)
        name=${path#"$work"/}
        name=${name%%/*}
        path=$work/$name/usr/share/doc/$name
        [ ! -L "$path" ] || path=$work/$(readlink "$path")/usr/share/doc/$(readlink "$path") # of another package
        printf '%s\t%s\t%s\n' "$name" "$(<"$work/$name/version")" "$path"
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

needed() { patchelf --print-needed "$1"; }

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

# stub SONAME: a library with those functions of the real one that the bundle's objects import.
stub() {
    local soname=$1 source=$work/stub.c
    comm -12 <(nm -D --defined-only --with-symbol-versions "${located[$soname]}" | awk '{sub("@@", "@", $3); print $3}' | sort -u) \
        <(find "$bundle/bin" "$bundle/lib" -type f -size +0 -exec nm -D --undefined-only --with-symbol-versions {} + 2>/dev/null |
            awk '$1 == "U" {print $2}' | sort -u) >"$source.imports"
    stub_source "$soname is not in VirtualGhost's QEMU bundle" <"$source.imports" >"$source"
    version_script <"$source.imports" >"$source.map"
    cc -O2 -fPIC -fno-builtin -shared -nostartfiles -s -Wl,-soname,"$soname" -Wl,--build-id=none \
        -Wl,-z,now -Wl,--version-script="$source.map" -o "$bundle/lib/$soname" "$source"
}

finish() {
    local name object licences=$work/base-files/usr/share/common-licenses
    fonts
    [ -d "$licences" ] || licences=/usr/share/common-licenses
    [ ! -d "$licences" ] || cp -rL "$licences" "$bundle/share/doc"
    for name in "${stubs[@]}"; do stub "$name"; done
    cc -O2 -Wall -Werror -fPIC -shared -Wl,-soname,"$window_library" -Wl,--build-id=none \
        -o "$bundle/lib/$window_library" "$REPO/assets/qemu/window.c"
    patchelf --add-needed "$window_library" "$bundle/bin/$emulator" # before all others

    find "$bundle/bin" "$bundle/lib" -type f -exec strip --strip-unneeded --remove-section=.comment {} +
    # shellcheck disable=SC2016 # $ORIGIN is for the loader to expand
    {
        patchelf --set-rpath '$ORIGIN/../lib' "$bundle/bin/$emulator"
        for object in "$bundle"/lib/*.so*; do patchelf --set-rpath '$ORIGIN' "$object"; done
        for object in "$bundle"/lib/qemu/*.so; do patchelf --set-rpath '$ORIGIN/..' "$object"; done
    }
}
