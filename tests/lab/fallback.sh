#!/usr/bin/env bash
# Real VMs in sessions where something is missing: each start falls back in the same run and prints why.
# Usage: tests/lab/fallback.sh EXECUTABLE
# It takes some minutes. The user's configuration is neither read nor written.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need Xvfb xdotool weston jq pgrep
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"

# opens ENVIRONMENT... -- ARGUMENTS...: starts a VM and waits until it is ready. The launcher's standard error is in
# $work/stderr.
opens() {
    local environment=() tries launcher
    while [ "$1" != -- ]; do environment+=("$1") && shift; done
    shift
    : >"$work/stderr"
    env "${environment[@]}" "$executable" --name lab "$@" </dev/null >"$work/out" 2>"$work/stderr" &
    launcher=$!
    for ((tries = 0; tries < 2400; tries++)); do
        grep -q '^ready (' "$work/stderr" && break
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.1
    done
    grep -q '^ready (' "$work/stderr" || { cat "$work/stderr" && false; }
}
closes() { "$executable" stop lab; }
# Also after a VM that did not open.
ends() { closes >/dev/null 2>&1 || true; }
prints() { grep -qF -- "$1" "$work/stderr" || { cat "$work/stderr" && false; }; }
# attempts COUNT: so many QEMUs were started. They are counted by a value, as texts change.
attempts() { [ "$(grep -c '^starting QEMU (' "$work/stderr")" = "$1" ] || { cat "$work/stderr" && false; }; }
# known FEATURE: it is among the known failures; FEATURE is the JSON of src/model/feature.rs.
known() { jq -e --argjson feature "$1" 'any(.[]; .feature == $feature)' "$HOME/.local/state/virtualghost/known-failures.json"; }
not_known() { ! known "$1"; }
window_on() { DISPLAY=$1 xdotool search --onlyvisible --name VirtualGhost >/dev/null; }
qemu_has() {
    local launcher
    launcher=$("$executable" ps --json | jq -er '.[0].pid')
    tr '\0' ' ' <"/proc/$(pgrep -P "$launcher" qemu)/cmdline" | grep -qF -- "$1"
}
forget() { "$executable" doctor --forget >/dev/null; }
doctor_prints() {
    local text=$1
    shift
    env "$@" "$executable" doctor >"$work/doctor" || [ $? = 1 ] || return
    grep -qF -- "$text" "$work/doctor" || { cat "$work/doctor" && false; }
}

x_server +extension GLX
with_glx=$display
x_server -extension GLX
without_glx=$display

check "a complete session: the VM opens a window with the host's OpenGL" opens DISPLAY="$with_glx" --
check "... the window is there" window_on "$with_glx"
check "... of gtk, with OpenGL" qemu_has "gtk,gl=on"
check "... it closes" closes
kvm='{"accelerator": "kvm"}' gtk='{"window": "gtk"}' sdl='{"window": "sdl"}'
if known "$kvm" >/dev/null 2>&1; then
    check "a /dev/kvm that runs nothing: the same run fell back" attempts 2
    check "... and printed why" prints KVM
    check "... the next start skips KVM" opens DISPLAY="$with_glx" --
    check "... so it starts one QEMU" attempts 1
    check "... and prints how to try KVM again" prints "virtualghost doctor --forget"
    ends
    check "... doctor shows it" doctor_prints KVM
    check "... and forgets it" forget
    check "... so it is no known failure any more" not_known "$kvm"
else
    skip "a /dev/kvm that runs nothing" "KVM works here, or there is none"
fi

check "no session: the VM opens" opens --
check "... without a window, and prints why" prints WAYLAND_DISPLAY
ends

check "a display without a server: the VM opens" opens DISPLAY=:4711 --
check "... gtk failed" prints gtk
check "... and sdl" prints sdl
check "... neither is a known failure" not_known "$gtk"
check "... nor sdl" not_known "$sdl"
check "... doctor shows the display" doctor_prints ":4711" DISPLAY=:4711
ends

check "an X server without GLX: the VM opens" opens DISPLAY="$without_glx" --
check "... in a window" window_on "$without_glx"
ends

check "no OpenGL driver at all: the VM opens" opens DISPLAY="$with_glx" LIBGL_DRIVERS_PATH=/nowhere __EGL_VENDOR_LIBRARY_DIRS=/nowhere --
check "... in a window" window_on "$with_glx"
check "... without OpenGL, and prints why" prints OpenGL
check "... the rendering is software" prints software
ends
forget

# A QEMU bundle without gtk's module.
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
check "... and prints why" prints gtk
ends
refused() { ! env DISPLAY="$with_glx" VIRTUALGHOST_QEMU="$work/qemu" "$executable" --display gtk 2>"$work/stderr"; }
check "... forced, it fails with the reason" refused
check "... and the fix" prints "hint: "

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
check "a Wayland session: doctor shows it" doctor_prints "Wayland, lab" WAYLAND_DISPLAY=lab
check "... the VM opens" opens WAYLAND_DISPLAY=lab --
check "... in a window of gtk" qemu_has "display gtk"
ends
# SDL 2.26 crashes without a keyboard, as in a session without a screen.
wayland seated x11-backend.so
check "a Wayland session with a seat: the VM opens by sdl" opens WAYLAND_DISPLAY=seated -- --display sdl
check "... in a window of SDL" qemu_has "display sdl"
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
