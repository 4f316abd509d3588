#!/usr/bin/env bash
# Where people start it from: tmux, ssh -X, a desktop file, cron, a container, a user without a name, two users at once, a
# read-only root, a home that is an overlay or on another machine, and a Wayland session with a screen.
# Usage: tests/lab/places.sh EXECUTABLE
# Needs root, for the other users and for mounts, each in a mount namespace of its own.
# shellcheck disable=SC2016,SC2317 # other shells expand; functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need Xvfb xdotool xwininfo weston tmux ssh ssh-keygen xauth sshfs gtk-launch dbus-run-session buildah setpriv unshare jq
[ "$(id -u)" = 0 ] || die "needs root"
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"
# shellcheck source=tests/lab/vm.sh
. "$REPO/tests/lab/vm.sh"
x_server +extension GLX -nolisten tcp
chmod 711 "$work"
install -m 755 "$executable" "$work/virtualghost"
program=$work/virtualghost

# The command that what follows is started with: `as=(…)`. Its last word starts what is behind it.
as=(env)
there() { "${as[@]}" "$program" "$@"; }
# starts NAME FLAG...: a VM that is started there becomes ready; `run --detach` waits for it.
starts() { there run --name "$1" --ephemeral --start boot --detach "${@:2}" </dev/null; }
answers() { equal "$(there exec "$1" -- sh -c 'echo $((6 * 7))')" 42; }
stops() { there stop "$1"; }
nothing_is_left() { equal "$(there ps --json | jq length)" 0; }
# works PLACE FLAG...: the whole life of a VM that is started there.
works() {
    check "$1: a VM becomes ready" starts lab "${@:2}"
    check "... runs a command" answers lab
    check "... stops" stops lab
    check "... and nothing is left of it" nothing_is_left
}
home() { mkdir -p "$work/$1" && chmod 700 "$work/$1" && echo "$work/$1"; }
# user NAME UID: sets as. The user has no name and no group in /etc.
user() {
    chown "$2:$2" "$(home "$1")"
    as=(env -i HOME="$work/$1" PATH="$PATH" setpriv --reuid "$2" --regid "$2" --clear-groups)
}

user nobody-knows 54321
check "a user without an entry in /etc/passwd: a VM becomes ready" starts lab --display none
refuses "... without OpenSSH, which wants an entry" 'hint: as root: echo "me:x:' answers lab
check "... stops" stops lab
check "... and nothing is left of it" nothing_is_left
user ann 54322
check "two users: a VM of the first becomes ready" starts lab --display none
user bob 54323
check "... and one of the same name of the second" starts lab --display none
check "... who sees only that one" equal "$(there ps --json | jq -r '.[].name')" lab
check "... and stops only that one" stops lab
user ann 54322
check "... so that the first one's runs on" equal "$(there ps --json | jq -r '.[].state')" ready
check "... until it is stopped" stops lab

# As cron(8) starts it: without a terminal, a session or a display.
as=(env -i HOME="$HOME" LOGNAME=root SHELL=/bin/sh PATH=/usr/bin:/bin setsid)
works "cron"

# in_mounts SCRIPT: sets as: SCRIPT makes mounts that only what is started has.
in_mounts() { as=(unshare --mount bash -euc "$1"' && exec "$@"' bash); }
# Each command has a namespace of its own, so the home is the same folder below.
in_mounts "mount --bind '$work' '$work' && mount -o remount,bind,ro /"
works "a read-only root file system" --display none
in_mounts "mount -t tmpfs -o size=64M tmpfs /dev/shm && mount --bind /dev/null /dev/kvm 2>/dev/null || :"
works "64 MB of /dev/shm" --display none
mkdir "$work"/{lower,upper,overlay-work,overlay}
# keeps_mounts COMMAND...: makes mounts in a namespace that stays, and sets as to enter it.
keeps_mounts() {
    unshare --mount bash -euc "$1"'; touch "$1/mounted"; exec sleep infinity' bash "$work" &
    servers+=($!)
    await test -e "$work/mounted" && rm "$work/mounted"
    as=(nsenter -t "${servers[-1]}" -m env HOME="$2" XDG_CACHE_HOME="$2/.cache")
}
keeps_mounts "mount -t overlay -o lowerdir='$work/lower',upperdir='$work/upper',workdir='$work/overlay-work' overlay '$work/overlay'" "$work/overlay"
works "a home that is an overlay" --display none

sshd=$(PATH=$PATH:/usr/sbin command -v sshd) || sshd=
# Installing Debian's package of it starts a server, so install-deps.sh does not.
if [ -n "$sshd" ]; then
    # shellcheck source=tests/lab/places-ssh.sh
    . "$REPO/tests/lab/places-ssh.sh"
else
    skip "ssh -X, and a home on another machine" "no sshd (Debian: openssh-server)"
fi

# In a terminal of tmux, whose shell is replaced.
in_tmux() { tmux -L "lab-$$" "$@"; }
shows() { in_tmux capture-pane -p | grep -qE "$1"; }
in_tmux -f /dev/null new-session -d -x 100 -y 30 "$program run --name lab --ephemeral --start boot --display none"
as=(env)
check "tmux: the shell of a VM is in its window" await shows 'ghost@lab'
in_tmux send-keys 'echo $((6 * 7)) is it' Enter
check "... takes what is typed" await shows '^42 is it'
in_tmux set -g status off && in_tmux resize-window -x 120 -y 40
in_tmux send-keys 'clear; stty size' Enter
check "... has the size of the window" await shows '^40 120'
in_tmux send-keys exit Enter
check "... and ends with the shell" await nothing_is_left
in_tmux kill-server 2>/dev/null || true

# The desktop file, as a menu starts it, in a session with a bus.
mkdir -p "$HOME/.local/share/applications" "$work/bin"
ln -s "$program" "$work/bin/virtualghost"
cp "$REPO/packaging/virtualghost.desktop" "$HOME/.local/share/applications/"
DISPLAY=$display PATH=$work/bin:$PATH dbus-run-session -- bash -c 'gtk-launch virtualghost && exec sleep infinity' </dev/null >"$work/menu.log" 2>&1 &
servers+=($!)
is_any_ready() { there ps --json | jq -e '.[0].state == "ready"'; }
check "a desktop file: a VM becomes ready" await is_any_ready
check "... with a window" window_on "$display"
check "... stops" there stop --all
check "... and nothing is left of it" await nothing_is_left

# Keys go the whole way: X server, weston, QEMU's window, guest.
DISPLAY=$display weston --backend=x11-backend.so --socket=lab --width=1280 --height=800 --idle-time=0 >"$work/weston.log" 2>&1 &
servers+=($!)
await test -S "$XDG_RUNTIME_DIR/lab"
weston_window() { DISPLAY=$display xdotool search --onlyvisible --class Weston | tail -n1; }
typed() {
    local window
    window=$(weston_window)
    DISPLAY=$display xdotool windowfocus "$window" mousemove --window "$window" 640 400 click 1 type --delay 40 "$1"
    # As a line's end, xdotool types the key Linefeed, which SDL does not know.
    DISPLAY=$display xdotool key Return
}
for window in gtk sdl; do
    as=(env WAYLAND_DISPLAY=lab)
    check "a Wayland session: a VM becomes ready, $window" starts lab --display "$window"
    typed "echo typed >~/$window"
    check "... takes what is typed" await there exec lab -- grep typed "/home/ghost/$window"
    check "... stops" stops lab
done

# A container has no /dev/kvm, and 64 MB of /dev/shm as usual. Its programs are this machine's.
buildah() { command buildah --root "$work/containers" --runroot "$work/containers-run" --storage-driver vfs "$@"; }
container=$(buildah from --shm-size 64m scratch)
inside=$(buildah mount "$container")
mkdir -p "$inside"/{usr,etc,tmp,root,proc,sys,dev}
for link in bin sbin lib lib64; do ln -s "usr/$link" "$inside/$link"; done
as=(buildah run --isolation chroot --volume /usr:/usr:ro --volume /etc:/etc:ro --volume "$work:$work" --env HOME=/root "$container" --)
works "a container" --display none
as=(env)
buildah umount "$container" >/dev/null
buildah rm "$container" >/dev/null
finish
