#!/usr/bin/env bash
# Makes a relocatable QEMU: bin/, lib/, lib/qemu/ (modules), share/qemu/ (firmware),
# share/fonts/ (GTK computes sizes from one), share/doc/ (licences).
# Usage: [ARCH=x86_64|aarch64] scripts/package-qemu.sh OUT      (the guest's; QEMU itself is for this machine)
#
# Where a Debian archive is known to apt, QEMU is taken from bookworm and its backports, whatever this
# system is (so glibc 2.36 is the oldest host); packages are unpacked in a temporary folder, none is installed.
# Elsewhere, or with QEMU=/path/to/qemu-system-ARCH, from the QEMU of this system.
#
# scripts/qemu-bundle.conf says what goes in. The libraries are found by following DT_NEEDED; each object gets
# a RUNPATH of its own relative to itself, because unlike RPATH, RUNPATH does not count for a library's libraries.
#
# The cache key holds these scripts, and the QEMU of this system if that is the source, but no package
# versions: those are looked up (network) only when a bundle is made, and then stand in manifest.json.
# To take newer packages remove the folder `qemu` of the build cache.
#
# Run it as: QEMU_MODULE_DIR=OUT/lib/qemu OUT/bin/qemu-system-ARCH -L OUT/share/qemu …
# With `-display gtk` also, so that GTK neither depends on the host's files nor loads plugins made for another GTK:
#   FONTCONFIG_FILE=OUT/share/fonts/fonts.conf GIO_MODULE_DIR=OUT/share/none GDK_PIXBUF_MODULE_FILE=/dev/null
#   GSETTINGS_BACKEND=memory GTK_THEME=Adwaita NO_AT_BRIDGE=1, and GTK_MODULES, GTK_PATH, GTK_IM_MODULE_FILE unset.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/qemu-bundle.conf
. "$REPO/scripts/qemu-bundle.conf"

emulator=qemu-system-$ARCH
case $ARCH in
x86_64) roots=(qemu-system-x86 seabios) ;;
aarch64) roots=(qemu-system-arm) ;;
esac
roots+=(qemu-system-gui qemu-system-modules-opengl qemu-system-common qemu-system-data)
plain_roots=(fonts-dejavu-core base-files) # the latter has the texts of the licences that the others only name
# Dependencies not worth a download: they hold no library that we take.
skipped='^lib(llvm|z3|icu|perl|db5|gl1-mesa-dri|glx-mesa|gtk-3-common|x11-data)|-(data|common|modules)$'

window_library=libvirtualghost-window.so

# Both sources fill these: where a library or file of that name lies, and what package it is from.
declare -A located=()

# debian_source DIR: downloads QEMU and the libraries that it depends on, and unpacks each to DIR/PACKAGE.
debian_source() {
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

# system_source: the QEMU of this system, its modules and firmware, and the loader's own list of libraries.
system_source() {
    local name path prefix
    prefix=$(dirname "$(dirname "$system_qemu")")
    while read -r name path; do : "${located[$name]:=$path}"; done < <(
        PATH=$PATH:/sbin ldconfig -p | sed -nE 's/^\s*(\S*) \(.*(x86-64|AArch64).*\) => (.*)/\1 \3/p')
    # What lies beside the program counts more: a QEMU in a folder of its own may have its own libraries.
    while IFS= read -r path; do located[${path##*/}]=$path; done < <(
        {
            "$system_qemu" -L help
            printf '%s\n' "$prefix"/share/qemu ${QEMU_MODULE_DIR:+"$QEMU_MODULE_DIR"} "$prefix"/lib*/qemu "$prefix"/lib/*/qemu
            [ "$prefix" = /usr ] || printf '%s\n' "$prefix"/lib{,64}
        } | while IFS= read -r path; do
            find -L "$path" -maxdepth 1 \( -name '*.so' -o -name '*.so.*' -o -name '*.bin' \) 2>/dev/null || true
        done)
    located[DejaVuSans.ttf]=$(fc-match -f '%{file}' 'DejaVu Sans' 2>/dev/null) || true # or what it has instead
    located[$emulator]=$system_qemu
    version=$("$system_qemu" -version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
}

# package_of PATH: "NAME VERSION LICENCES" of the package that PATH is from, tab-separated; nothing if unknown.
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
        elif command -v pacman >/dev/null && name=$(pacman -Qqo "$path" 2>/dev/null); then
            printf '%s\t%s\t%s\n' "$name" "$(pacman -Q "$name" | cut -d' ' -f2)" "/usr/share/licenses/$name"
        elif command -v rpm >/dev/null && name=$(rpm -qf --qf '%{NAME}\n' "$path" 2>/dev/null); then
            printf '%s\t%s\t%s\n' "$name" "$(rpm -q --qf '%{VERSION}-%{RELEASE}' "$name")" "/usr/share/licenses/$name"
        fi
        ;;
    esac
}

# take FILE DESTINATION: copies it and notes its package.
take() {
    local name version licences
    cp -L --no-preserve=mode "$1" "$2"
    IFS=$'\t' read -r name version licences < <(package_of "$1") || return 0
    [ -z "${packages[$name]:-}" ] || return 0
    packages[$name]=$version
    mkdir -p "$bundle/share/doc/$name"
    find -L "$licences" -maxdepth 1 -type f \( -name copyright -o -path '*/licenses/*' \) \
        -exec cp -L --no-preserve=mode -t "$bundle/share/doc/$name" {} + || true
    [ -z "$(ls "$bundle/share/doc/$name")" ] || return 0
    [ -n "$system_qemu" ] || die "package $name has no licence file in $licences"
    printf '%s %s: its licence is told by the system that it is from.\n' "$name" "$version" >"$bundle/share/doc/$name/copyright"
}

# closure: copies the libraries that the bundle's objects need, those that they need, and so on.
closure() {
    local object name
    local -a queue=("$bundle/bin/$emulator" "$bundle"/lib/qemu/*.so)
    while ((${#queue[@]})); do
        object=${queue[0]}
        queue=("${queue[@]:1}")
        for name in $(patchelf --print-needed "$object"); do
            matches "$name" "${host_libraries[@]}" && continue
            [ -e "$bundle/lib/$name" ] && continue
            [ -n "${located[$name]:-}" ] || die "$name is nowhere to be found; ${object#"$bundle"/} needs it"
            if matches "$name" "${unused_libraries[@]}"; then
                stubs+=("$name")
                : >"$bundle/lib/$name"
            else
                take "${located[$name]}" "$bundle/lib/$name"
                queue+=("$bundle/lib/$name")
            fi
        done
    done
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
    local soname=$1 symbol version source=$work/stub.c map=$work/stub.map
    printf '%s\n' '#include <stdlib.h>' '#include <unistd.h>' \
        "static const char text[] = \"$soname is not in VirtualGhost's QEMU bundle\\n\";" \
        'static void left_out(void) { if (write(2, text, sizeof text - 1)) {} abort(); }' >"$source"
    : >"$map"
    while IFS=@ read -r symbol version; do
        printf 'void %s(void) __attribute__((alias("left_out")));\n' "$symbol" >>"$source"
        [ -z "$version" ] || printf '%s %s\n' "$version" "$symbol" >>"$map"
    done < <(comm -12 \
        <(nm -D --defined-only --with-symbol-versions "${located[$soname]}" | awk '{sub("@@", "@", $3); print $3}' | sort -u) \
        <(find "$bundle/bin" "$bundle/lib" -type f -size +0 -exec nm -D --undefined-only --with-symbol-versions {} + 2>/dev/null |
            awk '$1 == "U" {print $2}' | sort -u))
    # One block per version: VERSION { SYMBOL; … };
    awk '{s[$1] = s[$1] " " $2 ";"} END {for (v in s) print v " {" s[v] " };"; if (!NR) print "{ global: *; };"}' "$map" |
        sort >"$map.ld"
    cc -O2 -fPIC -fno-builtin -shared -nostartfiles -s -Wl,-soname,"$soname" -Wl,--build-id=none \
        -Wl,-z,now -Wl,--version-script="$map.ld" -o "$bundle/lib/$soname" "$source"
}

build() {
    local name object version licences bundle=$1 work=$1/.work
    local -a stubs=()
    local -A packages=()
    mkdir -p "$work" "$bundle"/{bin,lib/qemu,share/qemu,share/doc}
    if [ -n "$system_qemu" ]; then system_source; else debian_source "$work"; fi

    [ -n "${located[$emulator]:-}" ] || die "the packages hold no $emulator"
    take "${located[$emulator]}" "$bundle/bin/$emulator"
    for name in "${modules[@]}"; do
        [ -z "${located[$name.so]:-}" ] || take "${located[$name.so]}" "$bundle/lib/qemu/$name.so"
    done
    for name in "${firmware[@]}"; do
        [ -n "${located[$name]:-}" ] || die "no $name; is QEMU's firmware (SeaBIOS) installed?"
        take "${located[$name]}" "$bundle/share/qemu/$name"
    done
    closure
    fonts
    licences=$work/base-files/usr/share/common-licenses
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
    rm -r "$work"
    chmod -R u=rwX,go=rX "$bundle"
    chmod 755 "$bundle/bin/$emulator"

    for name in "${!packages[@]}"; do printf '%s\t%s\n' "$name" "${packages[$name]}"; done | sort |
        jq -Rn --arg version "$version" --arg arch "$ARCH" --arg program "bin/$emulator" '{component: "qemu", version: $version,
            $arch, $program, modules: "lib/qemu", data: "share/qemu", packages: ([inputs / "\t" | {(.[0]): .[1]}] | add // {})}' \
            >"$bundle/manifest.json"
    find "$bundle" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

[ $# = 1 ] || die "usage: scripts/package-qemu.sh OUT"
need patchelf cc nm strip jq
system_qemu=
if [ -n "${QEMU:-}" ]; then
    system_qemu=$(realpath -e "$QEMU") || die "QEMU=$QEMU is no file"
elif ! (command -v apt-get && command -v dpkg-deb && debian_mirror) >/dev/null 2>&1; then
    system_qemu=$(command -v "$emulator") ||
        die "apt knows no Debian archive and there is no $emulator; install QEMU, or say QEMU=/path"
    system_qemu=$(realpath "$system_qemu")
fi
scripts=("$REPO/scripts/package-qemu.sh" "$REPO/scripts/qemu-bundle.conf" "$REPO/assets/qemu/window.c")
key=$(inputs_key "${scripts[@]}" "=$ARCH" "=${system_qemu:-debian bookworm-backports}" ${system_qemu:+"$system_qemu"})
cached qemu "$key" "$1" build
