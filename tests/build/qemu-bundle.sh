#!/usr/bin/env bash
# Holds a QEMU bundle to its promises: it runs from any folder, on a system that has no QEMU and of the
# bundle's libraries not one, and takes from that system only what scripts/qemu-bundle.conf says.
# Usage: [ARCH=x86_64|aarch64] tests/build/qemu-bundle.sh BUNDLE
#
# The system is a chroot with nothing in it but copies of this machine's host libraries and what they need.
# Making it takes a second and no network, so it is made anew each time.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=scripts/qemu-bundle.conf
. "$REPO/scripts/qemu-bundle.conf"

[ -f "${1:-}/manifest.json" ] || die "usage: tests/build/qemu-bundle.sh BUNDLE"
need patchelf objdump jq unshare Xvfb xwininfo
bundle=$(realpath "$1")
work=$(mktemp -d)
trap '[ -z "${xvfb:-}" ] || kill "$xvfb"; rm -rf "$work"' EXIT
root=$work/root moved=/a/moved/place
emulator=qemu-system-$ARCH machine=q35
[ "$ARCH" = x86_64 ] || machine=virt
passed=0 failed=0

# check PROMISE COMMAND...: the promise is kept if the command succeeds; its output is shown if not.
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

# copy_host_library SONAME: into the chroot, where the loader looks by itself, with what it needs in turn.
copy_host_library() {
    local name
    [ ! -e "$bundle/lib/$1" ] && [ ! -e "$root/usr/lib/$1" ] || return 0
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
    # The loader reads $ORIGIN of a program from here. What the kernel would answer, without a mount.
    ln -s "$moved/bin/$emulator" "$root/proc/self/exe"
    for name in $(needed | cut -f2 | sort -u); do copy_host_library "$name"; done
    cp -L "$loader" "$root$loader"
}

objects() { find "$bundle/bin" "$bundle/lib" -type f; }

# needed: OBJECT, tab, SONAME for each library that an object of the bundle names.
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

# prints WORDS COMMAND...: the command succeeds and its output has each of the words.
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
            -device virtio-gpu-pci,romfile= -netdev user,id=n -device virtio-net-pci,netdev=n,romfile=
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

# The newest version of the C library's symbols that is asked for; only Debian's packages promise 2.36.
old_glibc_will_do() {
    local newest
    newest=$(objects | xargs objdump -T 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -1)
    echo "$newest"
    ! jq -e '.packages["qemu-system-common"] // "" | contains("bpo12")' "$bundle/manifest.json" >/dev/null ||
        [ "$(printf '%s\n' GLIBC_2.36 "$newest" | sort -V | tail -1)" = GLIBC_2.36 ]
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

# Whoever asks for what was left out is told so, at once: the disassembler by -d in_asm.
stubs_say_what_is_missing() {
    [ -e "$bundle/lib/libcapstone.so.4" ] || return 0 # this QEMU was built without it
    prints "libcapstone.so.4 bundle" qemu_disassembles
}
qemu_disassembles() {
    ! qemu -nodefaults -machine "$machine" -accel tcg -display none -d in_asm -D /tmp/log </dev/null
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

# window DISPLAY: opens one.
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
check "a C library of Debian 12 is new enough" old_glibc_will_do
check "each package's licence is there" licences_are_there
check "the firmware is there" firmware_is_there
check "it tells the version that the manifest says" prints "$(jq -r .version "$bundle/manifest.json")" qemu -version
check "the modules of all displays load" prints "gtk sdl egl-headless" qemu -display help
check "both GPUs are there" prints "virtio-gpu-pci virtio-gpu-gl-pci virtio-gpu-gl-device" qemu -device help
check "a USB device of the host's can be handed on" prints "hostport= vendorid=" qemu -device usb-host,help
check "$machine starts, answers on QMP and quits" prints "running SHUTDOWN" qmp_session
start_x_server
check "gtk opens a window without a file of the host's" window gtk
check "sdl opens a window without a file of the host's" window sdl
check "a function that was left out says so" stubs_say_what_is_missing

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
