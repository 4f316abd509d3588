#!/usr/bin/env bash
# The checks of vsock.sh. This is the init of the outer VM: it prints to the console.
# Do not run it by hand: it powers off the machine.
# shellcheck disable=SC2016 # single quotes are for the inner shell
# shellcheck source=tests/lab/outer-init.sh
. /lab/outer-init.sh

# As on a desktop, where udev gives the device to the users of /dev/kvm.
modprobe -a virtio_rng vhost_vsock
chown user /dev/vhost-vsock $HOME $work
cd $HOME || exit 1

# vg ARGUMENT…: runs the launcher as the user.
vg() { setpriv --reuid=user --regid=user --init-groups --inh-caps=-all /lab/virtualghost "$@"; }
# field NAME FILTER: prints a field of a VM in `ps --json`.
field() { vg ps --json | jq -er --arg name "$1" ".[] | select(.name == \$name) | $2"; }
show() { printf -- '--- %s\n' "$*"; "$@" 2>&1 | tail -25; }
# soon COMMAND…: waits up to ten minutes until it succeeds. The pauses are long, because each attempt slows down the VM.
soon() {
    local i
    for ((i = 0; i < 120; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 5
    done
    "$@"
}

is() { [ "$1" = "$2" ] || { echo "\"$1\", not \"$2\"" && return 1; }; }
cid_is_one() { field "$1" '.channel.vsock | select(. >= 65536)'; }

# Instant starts use the private socket, so these VMs boot.
plan_has_vsock() {
    vg --display none --start boot --dry-run | tee $work/plan | grep -E '^agent +vsock' && grep -o 'vhost-vsock-pci,guest-cid=[0-9]*' $work/plan
}
check "the plan has vsock if /dev/vhost-vsock opens" plan_has_vsock

check "a VM starts, detached, and becomes ready" \
    vg run --display none --start boot --detach --vcpus 1 --memory 1024 --name inner
show vg ps
check "ps shows the context id of its agent" cid_is_one inner
cid=$(field inner .channel.vsock)

hello() { is "$(vg exec inner -- sh -c 'echo "hello from $(id -un)"')" "hello from ghost"; }
check "exec returns a program's output" hello
status() { vg exec inner -- sh -c 'exit 42'; is $? 42; }
check "and its status" status
peer() { vg exec inner -- sh -c 'echo $SSH_CONNECTION' | tee $work/peer && grep -qE "^vsock%2 [0-9]+ vsock%$cid 22$" $work/peer; }
check "the session's peer is the host's context id, its own is the VM's" peer
as_root() { is "$(vg exec --root inner -- id -u)" 0; }
check "exec --root is root" as_root
head -c 4M /dev/urandom >$work/bytes
there() { is "$(vg exec inner -- sha256sum <$work/bytes | cut -d' ' -f1)" "$(sha256sum <$work/bytes | cut -d' ' -f1)"; }
check "4 MiB of standard input arrive unchanged" there
and_back() { vg exec inner -- cat <$work/bytes >$work/back; cmp $work/bytes $work/back; }
check "and return unchanged" and_back
vg run --display none --start boot --detach --vcpus 1 --memory 768 --name other >$work/other.log 2>&1 &
check "a second VM has a context id too" soon cid_is_one other
another() { [ "$cid" != "$(field other .channel.vsock)" ]; }
check "which is different" another
no_listener() { ss -Hltnp | tee $work/listeners; [ ! -s $work/listeners ]; }
check "nothing on this machine listens on TCP" no_listener

gone() { ! field "$1" .name; }
powered_off() { vg logs "$1" | grep -a 'reboot: Power down'; }
check "stop stops a VM" vg stop inner
check "which powered itself off" powered_off inner
check "and is not listed any more" gone inner

# A launcher's context id follows from its process id, so it can be occupied before.
cat >$work/taken <<'END'
perl -e 'open my $device, "+<", "/dev/vhost-vsock" or die $!;
    ioctl $device, 0x4008AF60, pack "Q", 65536 + shift or die $!;  # VHOST_VSOCK_SET_GUEST_CID
    $| = 1; print "taken\n"; sleep' $$ >/lab/work/holder &
while ! grep -q taken /lab/work/holder; do sleep 1; done
exec /lab/virtualghost run --display none --start boot --vcpus 1 --memory 768 --name taken
END
setpriv --reuid=user --regid=user --init-groups bash $work/taken >$work/taken.log 2>&1 </dev/null &
on_socket() { field taken '.channel == "socket"'; }
check "if the context id is occupied, the VM uses its private socket" soon on_socket
one_line() {
    is "$(tr '\r' '\n' <$work/taken.log | grep -c 'vsock')" 1 && grep 'falling back to socket' $work/taken.log
}
check "and one line has the reason" one_line
show cat $work/taken.log
check "stop --force stops it" vg stop --force taken
check "and it is not listed any more" gone taken

ready() { field "$1" 'select(.state == "ready") | .name'; }
named() { is "$(vg exec "$1" -- hostname)" "$1"; }
check "the second VM becomes ready" soon ready other
check "its host name is its name" named other
check "stop stops it" vg stop other
check "and it is not listed any more" gone other
finish
