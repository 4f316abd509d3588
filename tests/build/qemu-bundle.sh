#!/usr/bin/env bash
# Tests a QEMU bundle: it runs from any folder, on a system that has neither QEMU nor any of the bundle's libraries, and
# uses only those libraries of the system that scripts/qemu-bundle.conf lists.
# Usage: [ARCH=x86_64|aarch64] tests/build/qemu-bundle.sh BUNDLE
#
# The system is a chroot with copies of this machine's host libraries and their dependencies only. It takes a second and no
# network, so each run makes a new one.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=scripts/qemu-bundle.conf
. "$REPO/scripts/qemu-bundle.conf"

[ -f "${1:-}/manifest.json" ] || die "usage: tests/build/qemu-bundle.sh BUNDLE"
need patchelf objdump readelf jq zstd unshare Xvfb xwininfo
bundle=$(realpath "$1")
work=$(mktemp -d)
trap '[ -z "${xvfb:-}" ] || kill "$xvfb"; rm -rf "$work"' EXIT
root=$work/root moved=/a/moved/place
emulator=qemu-system-$ARCH machine=q35
[ "$ARCH" = x86_64 ] || machine=virt
passed=0 failed=0

# check PROMISE COMMAND...: the command succeeds; if not, its output is shown.
check() {
    local promise=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$promise"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$promise"
        sed 's/^/      /' "$work/output" | tail -20
    fi
}

# copy_host_library SONAME: copies it and its dependencies into the chroot, to the loader's default path. A dependency may be
# in the bundle too: what is the host's finds its own.
copy_host_library() {
    local name
    [ ! -e "$root/usr/lib/$1" ] || return 0
    [ -n "${host[$1]:-}" ] || die "this machine has no $1; run: scripts/install-deps.sh"
    cp -L "${host[$1]}" "$root/usr/lib/$1"
    for name in $(patchelf --print-needed "${host[$1]}"); do copy_host_library "$name"; done
}

make_chroot() {
    local name path loader
    local -A host
    while read -r name path; do : "${host[$name]:=$path}"; done < <(
        /sbin/ldconfig -p | sed -nE 's/^\s*(\S*) \(.*(x86-64|AArch64).*\) => (.*)/\1 \3/p')
    loader=$(patchelf --print-interpreter "$bundle/bin/$emulator")
    mkdir -p "$root"/{usr/lib,tmp,proc/self} "$root$(dirname "$loader")" "$root$moved"
    cp -a "$bundle/." "$root$moved"
    # The loader reads $ORIGIN of a program from here. This is the kernel's value, without a mount.
    ln -s "$moved/bin/$emulator" "$root/proc/self/exe"
    for name in $(needed | cut -f2 | sort -u); do [ -e "$bundle/lib/$name" ] || copy_host_library "$name"; done
    cp -L "$loader" "$root$loader"
}

objects() { find "$bundle/bin" "$bundle/lib" -type f; }

# needed: prints OBJECT, tab, SONAME for each library that an object of the bundle needs.
needed() {
    local object name
    objects | while IFS= read -r object; do
        for name in $(patchelf --print-needed "$object"); do printf '%s\t%s\n' "${object#"$bundle"/}" "$name"; done
    done
}

environment=(HOME=/tmp FONTCONFIG_FILE="$moved/share/fonts/fonts.conf" GIO_MODULE_DIR="$moved/share/none"
    GDK_PIXBUF_MODULE_FILE=/dev/null GSETTINGS_BACKEND=memory GTK_THEME=Adwaita NO_AT_BRIDGE=1)

qemu() {
    as_root env -i PATH="$PATH" QEMU_MODULE_DIR="$moved/lib/qemu" "${environment[@]}" \
        ${DISPLAY:+DISPLAY="$DISPLAY"} \
        timeout 30 chroot "$root" "$moved/bin/$emulator" -L "$moved/share/qemu" "$@" 2>&1
}

# prints WORDS COMMAND...: the command succeeds, and its output has each word.
prints() {
    local words=$1 word text
    shift
    text=$("$@") || { printf '%s\nstatus %s\n' "$text" "$?"; return 1; }
    printf '%s\n' "$text"
    for word in $words; do grep -qwF -e "$word" <<<"$text" || { echo "no '$word' in it"; return 1; }; done
}

qmp_session() {
    printf '{"execute": "%s"}\n' qmp_capabilities query-status quit |
        qemu -nodefaults -machine "$machine" -accel tcg -display none -qmp stdio \
            -device virtio-gpu-pci,romfile= -netdev hubport,id=n,hubid=0 -device virtio-net-pci,netdev=n,romfile=
}

no_other_library_is_named() {
    local object name bad=0
    while IFS=$'\t' read -r object name; do
        [ -e "$bundle/lib/$name" ] || matches "$name" "${host_libraries[@]}" ||
            { echo "$object needs $name"; bad=1; }
    done < <(needed)
    return $bad
}

no_host_library_is_inside() {
    local path bad=0
    for path in "$bundle"/lib/*.so*; do
        ! matches "${path##*/}" "${host_libraries[@]}" || { echo "${path##*/}"; bad=1; }
    done
    return $bad
}

run_paths_are_relative() {
    local object path wanted bad=0
    while IFS= read -r object; do
        path=$(patchelf --print-rpath "$object")
        # shellcheck disable=SC2016 # the loader's word, not the shell's
        case $object in
        */bin/*) wanted='$ORIGIN/../lib' ;;
        */lib/qemu/*) wanted='$ORIGIN/..' ;;
        *) wanted='$ORIGIN' ;;
        esac
        [ "$path" = "$wanted" ] || { echo "${object#"$bundle"/}: '$path'"; bad=1; }
    done < <(objects)
    return $bad
}

# The newest version of the C library's symbols that an object needs.
old_glibc_will_do() {
    local newest
    newest=$(objects | xargs objdump -p 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -1)
    echo "$newest"
    [ "$(printf '%s\n' GLIBC_2.31 "$newest" | sort -V | tail -1)" = GLIBC_2.31 ]
}

# Position-independent, nothing to write where the loader was, canaries, checked copies.
is_hardened() {
    local object bad=0
    for object in "$bundle/bin/$emulator" "$bundle"/lib/qemu/*.so; do
        readelf -hldW "$object" >"$work/elf" && nm -D "$object" >>"$work/elf"
        for sign in 'Type: *DYN' GNU_RELRO 'FLAGS_1.*NOW|BIND_NOW' 'GNU_STACK.* RW '; do
            grep -qE "$sign" "$work/elf" || { echo "${object#"$bundle"/}: no $sign"; bad=1; }
        done
    done
    ! nm -D "$bundle/bin/$emulator" | grep -c -e __stack_chk_fail -e '__.*_chk@' | grep -qx '[0-5]' || { echo "nothing is checked"; bad=1; }
    return $bad
}

# listed KIND…: the names of these kinds in docker/qemu/devices.list.
listed() {
    sed 's/#.*//' "$REPO/docker/qemu/devices.list" | awk -v kinds=" $* " -v arch="[$ARCH]" \
        'NF && index(kinds, " " $1 " ") && ($NF !~ /^\[/ || $NF == arch) {print $2}' | sort -u
}

# offered WHAT: the names that QEMU's own help has. Not the processors, which are devices too; not the older versions of a
# machine; and a device of virtio under one name, not under those of each bus.
offered() {
    case $1 in
    device) qemu -device help | sed -nE 's/^name "([^"]*)".*/\1/p' | grep -vE -- '-(x86_64|arm)-cpu$' |
        sed -E '/^(virtio|vhost)-/s/-(device|pci-transitional|pci-non-transitional)$/-pci/' ;;
    machine) qemu -machine help | awk 'NR > 1 {sub("^pc-q35-.*", "q35", $1); sub("^virt-.*", "virt", $1); print $1}' ;;
    netdev) qemu -machine "$machine" -netdev help | grep -xE '[a-z-]+' ;;
    accel) qemu -accel help | awk 'NR > 1' ;;
    display) qemu -display help | sed '1d; /^$/,$d' ;;
    esac | sort -u
}

# has_what_is_listed WHAT KIND…: no name too many or too few.
has_what_is_listed() { diff <(listed "${@:2}") <(offered "$1"); }

libraries_at_start() {
    local count
    count=$(as_root chroot "$root" "$(patchelf --print-interpreter "$bundle/bin/$emulator")" --list "$moved/bin/$emulator" | tee /dev/stderr | grep -c ' => ')
    echo "$count libraries"
    ((count <= $1))
}

# packed LIMIT: bytes, at the level of a release.
packed() {
    local bytes
    bytes=$(tar -C "$bundle" -c . | zstd -q -19 | wc -c)
    echo "$bytes bytes"
    ((bytes <= $1))
}

licences_are_there() {
    local package bad=0
    while IFS= read -r package; do
        grep -qF "======== $package/" "$bundle/share/doc/licences.txt" || { echo "$package"; bad=1; }
    done < <(jq -r '.packages | keys[]' "$bundle/manifest.json")
    return $bad
}

firmware_is_there() {
    local name
    for name in "${firmware[@]}"; do [ -s "$bundle/share/qemu/$name" ] || { echo "$name"; return 1; }; done
}

# A function that was left out fails with a message.
stubs_say_what_is_missing() {
    local name=libvirtualghost-no-cloudproviders.so.0
    printf '%s\n' '#include <dlfcn.h>' 'int main(int n, char **v) {' \
        'void (*f)(void) = (void (*)(void))dlsym(dlopen(v[1], RTLD_NOW), v[2]); f(); return n; }' |
        cc -x c -o "$work/caller" - && ! "$work/caller" "$bundle/lib/$name" "$(nm -D --defined-only "$bundle/lib/$name" | awk 'NR == 1 {sub("@.*", "", $3); print $3}')" 2>"$work/said"
    cat "$work/said"
    grep -qF "libcloudproviders.so.0 is not in VirtualGhost's QEMU bundle" "$work/said"
}

# The host's driver finds its own libraries: nothing that was left out has their name.
stubs_have_names_of_their_own() {
    local found
    found=$(grep -lF "is not in VirtualGhost's QEMU bundle" "$bundle"/lib/*.so* | grep -v '/libvirtualghost-no-[^/]*$' || true)
    echo "$found"
    [ -z "$found" ] && [ -n "$(find "$bundle/lib" -name 'libvirtualghost-no-vulkan.so.*')" ]
}

start_x_server() {
    local number
    mkfifo "$work/display"
    Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3>"$work/display" 2>/dev/null &
    xvfb=$!
    read -r number <"$work/display"
    export DISPLAY=:$number
}

# A window as large as the picture, with gtk's menu bar or without, within 10 s.
await_window() {
    local _
    for _ in {1..100}; do
        ! xwininfo -root -tree | grep -E ' 640x(480|50[0-9])\+' || return 0
        sleep 0.1
    done
}

# window DISPLAY: opens a window.
window() {
    {
        printf '{"execute": "qmp_capabilities"}\n'
        await_window >"$work/window"
        printf '{"execute": "quit"}\n'
    } | qemu -nodefaults -machine "$machine" -accel tcg -device virtio-gpu-pci,romfile= -display "$1" -qmp stdio
    cat "$work/window"
    [ -s "$work/window" ]
}

unset DISPLAY WAYLAND_DISPLAY
make_chroot
check "every library is in the bundle or on the host's list" no_other_library_is_named
check "no library of the host's list is in the bundle" no_host_library_is_inside
check "run paths are relative to the object itself" run_paths_are_relative
built=$(jq -r '.packages.qemu // "" | select(contains("deb"))' "$bundle/manifest.json")
[ -z "$built" ] || check "a C library of Debian 11 is new enough" old_glibc_will_do
check "each package's licence is there" licences_are_there
check "the firmware is there" firmware_is_there
check "it tells the version that the manifest says" prints "$(jq -r .version "$bundle/manifest.json")" qemu -version
check "the modules of all displays load" prints "gtk sdl" qemu -display help
check "both GPUs are there" prints "virtio-gpu-pci virtio-gpu-gl-pci virtio-gpu-gl-device" qemu -device help
check "a USB device of the host's can be handed on" prints "hostport= vendorid=" qemu -device usb-host,help
check "$machine starts, answers on QMP and quits" prints "running SHUTDOWN" qmp_session
start_x_server
check "gtk opens a window without a file of the host's" window gtk
check "sdl opens a window without a file of the host's" window sdl
if [ -n "$built" ]; then
    check "the program and its modules are hardened" is_hardened
    check "QEMU has the devices that are listed, and no other" has_what_is_listed device device comes
    check "QEMU has the machines that are listed, and no other" has_what_is_listed machine machine comes-machine
    check "QEMU has the networks that are listed, and no other" has_what_is_listed netdev netdev comes-netdev
    check "QEMU has the accelerators that are listed, and no other" has_what_is_listed accel accel
    check "QEMU has the displays that are listed, and no other" has_what_is_listed display display
    check "at most 13 libraries are loaded at start" libraries_at_start 13
    check "it packs to at most 14 MB" packed 14000000
    check "a function that was left out says so" stubs_say_what_is_missing
    check "nothing that was left out has a name that the host's driver may need" stubs_have_names_of_their_own
fi

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
