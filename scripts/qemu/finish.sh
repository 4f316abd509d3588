#!/usr/bin/env bash
# Makes the objects of a Linux bundle small and find each other wherever the bundle lies. Runs in the chroot of
# scripts/qemu/build.sh or, for the QEMU of this system, on this machine.
# Usage: scripts/qemu/finish.sh BUNDLE EMULATOR HOW [LIBRARY]...
#   HOW       system: a library is loaded first (assets/qemu/window.c)
#             built: it is there and linked already (scripts/qemu/compile.sh); the objects work with glibc 2.31
#   LIBRARY   is replaced by a stub with those of its functions that the bundle's objects import
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"
bundle=$1 emulator=$2 how=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
window_library=libvirtualghost-window.so
oldest_glibc=2.31

# stub LIBRARY
# Its name is another one: the host's OpenGL driver may need the library itself, and the loader takes the first one of a name.
stub() {
    local soname=${1##*/} source=$work/stub.c own object
    own=libvirtualghost-no-${soname#lib}
    nm -D --defined-only --with-symbol-versions "$1" | awk '{sub("@@", "@", $3); print $3}' | sort -u >"$source.exports"
    find "$bundle/bin" "$bundle/lib" -type f -size +0 -exec nm -D --undefined-only --with-symbol-versions {} + 2>/dev/null |
        awk '$1 == "U" {print $2}' | sort -u | comm -12 "$source.exports" - >"$source.imports"
    stub_source "$soname is not in VirtualGhost's QEMU bundle" <"$source.imports" >"$source"
    # A library may have functions with a version and others without: those are exported all the same.
    if grep -q @ "$source.imports" && grep -qv @ "$source.imports"; then
        grep @ "$source.imports" | version_script | sed 's/ local: \*;//' >"$source.map"
    else
        version_script <"$source.imports" >"$source.map"
    fi
    gcc -O2 -fPIC -fno-builtin -shared -nostartfiles -s -Wl,-soname,"$own" -Wl,--build-id=none \
        -Wl,-z,now -Wl,--version-script="$source.map" -o "$bundle/lib/$own" "$source"
    rm "$bundle/lib/$soname"
    for object in "$bundle"/bin/* "$bundle"/lib/*.so* "$bundle"/lib/qemu/*.so; do
        ! patchelf --print-needed "$object" 2>/dev/null | grep -qxF "$soname" || patchelf --replace-needed "$soname" "$own" "$object"
    done
}

shift 3
for library in "$@"; do stub "$library"; done
if [ "$how" = system ]; then
    gcc -O2 -Wall -Werror -fPIC -shared -Wl,-soname,"$window_library" -Wl,--build-id=none \
        -o "$bundle/lib/$window_library" "$REPO/assets/qemu/window.c"
    patchelf --add-needed "$window_library" "$bundle/bin/$emulator" # before all others
fi
find "$bundle/bin" "$bundle/lib" -type f -exec strip --strip-unneeded --remove-section=.comment {} +
# shellcheck disable=SC2016 # $ORIGIN is for the loader to expand
{
    [ "$how" = built ] || patchelf --set-rpath '$ORIGIN/../lib' "$bundle/bin/$emulator"
    for object in "$bundle"/lib/*.so*; do patchelf --set-rpath '$ORIGIN' "$object"; done
    for object in "$bundle"/lib/qemu/*.so; do patchelf --set-rpath '$ORIGIN/..' "$object"; done
}
if [ "$how" = built ]; then
    find "$bundle/bin" "$bundle/lib" -type f -print0 | LC_ALL=C sort -z |
        xargs -0 python3 "$REPO/scripts/qemu/glibc.py" "$oldest_glibc" /usr/lib/*-linux-gnu "$bundle/lib/$window_library"
fi
