#!/usr/bin/env bash
# Real VMs on sessions where something is missing: each opens what it can, in one run, and says what it does without.
# Usage: tests/lab/ladder.sh EXECUTABLE
# Some minutes. Nothing of the user's configuration is read or written.
# shellcheck disable=SC2317 # what check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need Xvfb xdotool weston jq pgrep
[ -x "${1-}" ] || die "usage: $0 EXECUTABLE"
executable=$(realpath "$1")

work=$(mktemp -d)
export HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_RUNTIME_DIR=$work/run
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME DISPLAY WAYLAND_DISPLAY
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
servers=()
clean_up() {
    "$executable" stop --all --force
    ((${#servers[@]})) && kill "${servers[@]}"
    wait
    rm -rf "$work"
} >"$work/clean-up" 2>&1
trap clean_up EXIT
trap 'exit 130' INT TERM

# x_server [OPTION]...: sets $display.
x_server() {
    local number=$work/display.${#servers[@]}
    mkfifo "$number"
    Xvfb -displayfd 5 -screen 0 1600x1200x24 -noreset "$@" 5>"$number" 2>/dev/null &
    servers+=($!)
    display=:$(<"$number")
}

# opens ENVIRONMENT... -- ARGUMENTS...: a VM that gets ready; what its launcher said is in $work/said.
opens() {
    local environment=() tries launcher
    while [ "$1" != -- ]; do environment+=("$1") && shift; done
    shift
    : >"$work/said"
    env "${environment[@]}" "$executable" --name lab "$@" </dev/null >"$work/out" 2>"$work/said" &
    launcher=$!
    for ((tries = 0; tries < 2400; tries++)); do
        grep -q '^ready (' "$work/said" && break
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.1
    done
    grep -q '^ready (' "$work/said" || { cat "$work/said" && false; }
}
closes() { "$executable" stop lab; }
# Of a VM that did not open, too.
ends() { closes >/dev/null 2>&1 || true; }
says() { grep -qF -- "$1" "$work/said" || { cat "$work/said" && false; }; }
says_not() { ! grep -qF -- "$1" "$work/said" || { cat "$work/said" && false; }; }
window_on() { DISPLAY=$1 xdotool search --onlyvisible --name VirtualGhost >/dev/null; }
qemu_has() {
    local launcher
    launcher=$("$executable" ps --json | jq -er '.[0].pid')
    tr '\0' ' ' <"/proc/$(pgrep -P "$launcher")/cmdline" | grep -qF -- "$1"
}
forget() { "$executable" doctor --forget >/dev/null; }
doctor_says() {
    local text=$1
    shift
    env "$@" "$executable" doctor >"$work/doctor" || [ $? = 1 ] || return
    grep -qF -- "$text" "$work/doctor" || { cat "$work/doctor" && false; }
}

x_server +extension GLX
with_glx=$display
x_server -extension GLX
without_glx=$display

broken_kvm() { grep -q "KVM runs no guest" <("$executable" doctor); }
check "a screen with everything: the VM opens a window with the host's OpenGL" opens DISPLAY="$with_glx" --
check "... the window is there" window_on "$with_glx"
check "... by gtk, with OpenGL" qemu_has "gtk,gl=on"
check "... it closes" closes
if broken_kvm; then
    check "a /dev/kvm that runs nothing was left in the same run" says "KVM does not work here: "
    check "... the next start does not try it" opens DISPLAY="$with_glx" --
    check "... and says why" says "\`virtualghost doctor --forget\` has it tried again"
    check "... it tries nothing that fails" says_not "does not work here"
    ends
    check "... doctor shows it" doctor_says "learnt         KVM is not tried: "
    check "... and forgets it" forget
fi

check "no session: the VM opens all the same" opens --
check "... without a window, and says so" says "no window: neither WAYLAND_DISPLAY nor DISPLAY is set"
ends

check "a display that nobody serves: the VM opens all the same" opens DISPLAY=:4711 --
check "... gtk was left" says "the window of gtk does not work here: "
check "... and sdl" says "the window of sdl does not work here: "
check "... that taught nothing about them" doctor_says "X11, :4711" DISPLAY=:4711
says_nothing_learnt() { ! grep -q "the window of .* is not tried" <("$executable" doctor); }
check "... as doctor shows" says_nothing_learnt
ends

check "an X server without GLX: the VM opens" opens DISPLAY="$without_glx" --
check "... in a window" window_on "$without_glx"
ends

check "no OpenGL driver at all: the VM opens" opens DISPLAY="$with_glx" LIBGL_DRIVERS_PATH=/nowhere __EGL_VENDOR_LIBRARY_DIRS=/nowhere --
check "... in a window" window_on "$with_glx"
check "... without OpenGL, and says why" says "OpenGL does not work here: "
check "... the rendering is software" says "the rendering is software"
ends
forget

# A bundle from which gtk's module is gone.
bundle=$(echo "$XDG_CACHE_HOME"/virtualghost/assets/*/qemu)
cp -r "$bundle/lib" "$work/lib" && rm -f "$work/lib/qemu/ui-gtk.so"
cat >"$work/qemu" <<END
#!/bin/sh
QEMU_MODULE_DIR=$work/lib/qemu exec "$bundle/bin/qemu-system-x86_64" -L "$bundle/share/qemu" "\$@"
END
chmod +x "$work/qemu"
check "no gtk in the bundle: the VM opens" opens DISPLAY="$with_glx" VIRTUALGHOST_QEMU="$work/qemu" --
check "... in a window" window_on "$with_glx"
check "... of sdl, with OpenGL" qemu_has "sdl,gl=on"
check "... and says why" says "the window of gtk does not work here: "
ends
refused() { ! env DISPLAY="$with_glx" VIRTUALGHOST_QEMU="$work/qemu" "$executable" --display gtk 2>"$work/said"; }
check "... forced, it fails with the reason" refused
check "... and the fix" says "hint: drop it"

# wayland SOCKET BACKEND
wayland() {
    local tries
    DISPLAY=$with_glx weston --backend="$2" --socket="$1" --idle-time=0 >"$work/weston.log" 2>&1 &
    servers+=($!)
    for ((tries = 0; tries < 100; tries++)); do
        [ ! -S "$XDG_RUNTIME_DIR/$1" ] || return 0
        sleep 0.1
    done
}
wayland lab headless-backend.so
check "a Wayland session: doctor sees it" doctor_says "ok       window         Wayland, lab" WAYLAND_DISPLAY=lab
check "... the VM opens" opens WAYLAND_DISPLAY=lab --
check "... in a window of gtk" qemu_has "display gtk"
ends
# SDL 2.26 crashes where no keyboard is, as in a session without a screen.
wayland seated x11-backend.so
check "a Wayland session with a seat: the VM opens by sdl" opens WAYLAND_DISPLAY=seated -- --display sdl
check "... in a window of SDL's" qemu_has "display sdl"
ends

# QEMU's sandbox, all four denies, with each toolkit, with OpenGL and without.
for toolkit in gtk sdl; do
    for gl in on off; do
        check "sandboxed: $toolkit, OpenGL $gl" opens DISPLAY="$with_glx" -- --display "$toolkit" --gl "$gl"
        check "... all four denies" qemu_has "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
        ends
    done
done
finish
