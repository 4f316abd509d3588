#!/usr/bin/env bash
# The checks of vsock.sh, as the init of the outer VM: what it prints is read from the console.
# Not to be run by hand: it powers off the machine.
# shellcheck disable=SC2016 # what is in single quotes is for the inner shell
set -uo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/lab/home
work=/lab/work
# shellcheck source=tests/build/check.sh
. /lab/check.sh

power_off() {
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}
trap power_off EXIT

# A machine as a desktop has it: udev would give the device to those who may use /dev/kvm.
mkdir -p /dev/shm /dev/pts $work $HOME
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp /dev/shm
ip link set lo up
modprobe -a virtio_rng vhost_vsock
chown user /dev/vhost-vsock $HOME $work
cd $HOME || exit 1

# vg ARGUMENT…: what the user types.
vg() { setpriv --reuid=user --regid=user --init-groups --inh-caps=-all /lab/virtualghost "$@"; }
# asks NAME FILTER: one thing that `ps --json` tells of a VM.
asks() { vg ps --json | jq -er --arg name "$1" ".[] | select(.name == \$name) | $2"; }
show() { printf -- '--- %s\n' "$*"; "$@" 2>&1 | tail -25; }
# soon COMMAND…: within ten minutes. Seldom tried, as each try takes time from the VM that is waited for.
soon() {
    local i
    for ((i = 0; i < 120; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 5
    done
    "$@"
}

is() { [ "$1" = "$2" ] || { echo "\"$1\", not \"$2\"" && return 1; }; }
cid_is_one() { asks "$1" '.channel.vsock | select(. >= 65536)'; }

# What starts from a checkpoint is reached by way of loopback, so these boot.
plan_says_vsock() {
    vg --display none --start boot --dry-run | tee $work/plan | grep -E '^agent +vsock' && grep -o 'vhost-vsock-pci,guest-cid=[0-9]*' $work/plan
}
check "the plan takes vsock where /dev/vhost-vsock opens" plan_says_vsock

check "a VM starts, detached, and comes to its prompt" \
    vg run --display none --start boot --detach --vcpus 1 --memory 1024 --name inner
show vg ps
check "ps tells that its agent is at a context id" cid_is_one inner
cid=$(asks inner .channel.vsock)

hello() { is "$(vg exec inner -- sh -c 'echo "hello from $(id -un)"')" "hello from ghost"; }
check "exec gives a program's output" hello
status() { vg exec inner -- sh -c 'exit 42'; is $? 42; }
check "and its status" status
peer() { vg exec inner -- sh -c 'echo $SSH_CONNECTION' | tee $work/peer && grep -qE "^vsock%2 [0-9]+ vsock%$cid 22$" $work/peer; }
check "the session's peer is the host's context id, its own is the VM's" peer
as_root() { is "$(vg exec --root inner -- id -u)" 0; }
check "exec --root is root" as_root
head -c 4M /dev/urandom >$work/bytes
there() { is "$(vg exec inner -- sha256sum <$work/bytes | cut -d' ' -f1)" "$(sha256sum <$work/bytes | cut -d' ' -f1)"; }
check "4 MiB of standard input arrive as they are" there
and_back() { vg exec inner -- cat <$work/bytes >$work/back; cmp $work/bytes $work/back; }
check "and come back as they are" and_back
vg run --display none --start boot --detach --vcpus 1 --memory 768 --name other >$work/other.log 2>&1 &
check "a second VM has a context id too" soon cid_is_one other
another() { [ "$cid" != "$(asks other .channel.vsock)" ]; }
check "which is another" another
no_listener() { ss -Hltnp | tee $work/listeners; [ ! -s $work/listeners ]; }
check "nothing on this machine listens on TCP" no_listener

gone() { ! asks "$1" .name; }
powered_off() { vg logs "$1" | grep -a 'reboot: Power down'; }
check "stop ends a VM" vg stop inner
check "which powered itself off" powered_off inner
check "and is gone" gone inner

# The context id of a launcher is made from its process id, so it can be taken before.
cat >$work/taken <<'END'
perl -e 'open my $device, "+<", "/dev/vhost-vsock" or die $!;
    ioctl $device, 0x4008AF60, pack "Q", 65536 + shift or die $!;  # VHOST_VSOCK_SET_GUEST_CID
    $| = 1; print "taken\n"; sleep' $$ >/lab/work/holder &
while ! grep -q taken /lab/work/holder; do sleep 1; done
exec /lab/virtualghost run --display none --start boot --vcpus 1 --memory 768 --name taken
END
setpriv --reuid=user --regid=user --init-groups bash $work/taken >$work/taken.log 2>&1 </dev/null &
on_loopback() { asks taken '.channel.port'; }
check "with a context id that is taken, a VM starts on the loopback" soon on_loopback
one_line() {
    is "$(tr '\r' '\n' <$work/taken.log | grep -c 'vsock')" 1 && grep 'the agent is reached by loopback' $work/taken.log
}
check "and one line says so" one_line
show cat $work/taken.log
check "stop --force ends it" vg stop --force taken
check "and it is gone" gone taken

ready() { asks "$1" 'select(.state == "ready") | .name'; }
named() { is "$(vg exec "$1" -- hostname)" "$1"; }
check "the second VM comes to its prompt" soon ready other
check "its name reaches it" named other
check "stop ends it" vg stop other
check "and it is gone" gone other
finish
