#!/usr/bin/env bash
# VMs work in the strict jail, with each window and after an instant start; and attacks from inside the real QEMU, as of a
# guest that has taken it over (jail-attack.c), are refused.
# Usage: tests/lab/jail.sh EXECUTABLE
# It takes some minutes. The user's configuration is neither read nor written.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need Xvfb cc jq pgrep strace
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"
# shellcheck source=tests/lab/vm.sh
. "$REPO/tests/lab/vm.sh"
x_server +extension GLX
export DISPLAY=$display

starts() { vg run --name lab --ephemeral --detach "$@"; }
is_jailed() { equal "$(field lab .jail)" "$1"; }
stops() { vg stop lab; }
status() { grep -qE "$1" "/proc/$(pgrep -P "$(field lab .pid)" qemu)/$2"; }

for way in '--display gtk --gl on' '--display sdl --gl on' '--display gtk --gl off' '--display none'; do
    # shellcheck disable=SC2086 # words
    check "a VM starts ($way)" starts $way
    check "... in the strict jail" is_jailed strict
    check "... without new privileges" status '^NoNewPrivs:[[:space:]]1$' status
    check "... and without core files" status '^Max core file size +0 +0 ' limits
    check "... its agent answers" vg exec lab -- true
    check "... it stops" stops
done

# As on a kernel without Landlock: the launcher is told so.
start_without_landlock() {
    strace -DDD -f -qq -o "$work/strace" -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=ENOSYS \
        "$executable" run --name lab --ephemeral --detach "$@"
}
has_no_home() {
    local root
    root=/proc/$(pgrep -P "$(field lab .pid)" qemu)/root
    [ -d "$root/usr/share" ] && [ -e "$HOME/.profile" ] && [ ! -e "$root$HOME/.profile" ]
}
touch "$HOME/.profile"
for way in '--display gtk --gl on' '--display sdl --gl on' '--display none'; do
    # shellcheck disable=SC2086 # words
    check "without Landlock a VM starts ($way)" start_without_landlock $way
    check "... in the strict jail" is_jailed strict
    check "... with a root of its own, without the user's files" has_no_home
    check "... its agent answers" vg exec lab -- true
    check "... it stops" stops
done

# A copy of the QEMU in the executable, as the user's own: it loads the attacks first.
mkdir -m 700 "$HOME/.ssh"
for file in "$HOME/.ssh/id" "$work/other-vm"; do echo secret >"$file"; done
bundle=$(echo "$XDG_CACHE_HOME"/virtualghost/assets/*/qemu)
cp -a "$bundle" "$work/qemu"
chmod -R u+w "$work/qemu"
program=$(basename "$(echo "$work"/qemu/bin/qemu-system-*)")
cc -O1 -shared -fPIC -pthread -o "$work/qemu/lib/attack.so" "$REPO/tests/lab/jail-attack.c"
image=$(echo "$XDG_CACHE_HOME"/virtualghost/assets/*/rootfs/*.img)
cat >"$work/qemu/bin/attacked" <<END
#!/bin/sh
export QEMU_MODULE_DIR='$work/qemu/lib/qemu' LD_PRELOAD='$work/qemu/lib/attack.so'
export ATTACK_KEY='$HOME/.ssh/id' ATTACK_VM='$work/other-vm' ATTACK_IMAGE='$image' ATTACK_NEW='$HOME/new'
exec '$work/qemu/bin/$program' -L '$work/qemu/share/qemu' "\$@"
END
chmod +x "$work/qemu/bin/attacked"

# attacked NAME FLAG...: starts a VM whose QEMU attacks; sets name.
attacked() {
    name=$1
    shift
    # It is killed if it starts a program, so it need not become ready.
    VIRTUALGHOST_QEMU=$work/qemu/bin/attacked "$executable" --name "$name" --display none --gl off "$@" \
        </dev/null >"$work/launcher.log" 2>&1 &
    await attempted program || { cat "$work/launcher.log" && false; }
    vg stop --force "$name" >/dev/null 2>&1 || true
    wait $! || true
}
attempted() { vg logs "$name" --qemu | grep "^attack $1: "; }
is_refused() { attempted "$1" | tee /dev/stderr | grep -q ': refused'; }
is_done() { attempted "$1" | tee /dev/stderr | grep -q ': done'; }

check "attacks from inside QEMU, in the jail" attacked jailed --jail strict
check "... QEMU's own status is open" is_done own-status
check "... the user's keys are not" is_refused user-key
check "... another VM is not" is_refused other-vm
check "... the image is not, for writing" is_refused image
check "... the user's home is not, for a new file" is_refused new-file
check "... the password hashes are not" is_refused password-hashes
check "... the launcher is not traced" is_refused trace
check "... and gets no signal" is_refused signal
check "... there is no io_uring" is_refused io-uring
check "... no packet socket" is_refused packet-socket
check "... no socket to programs of the session" is_refused session-socket
check "... and no program starts" is_refused program
check "the same attacks without the jail" attacked free --jail off
check "... open the user's keys" is_done user-key
check "... and signal the launcher" is_done signal
finish
