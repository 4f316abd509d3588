#!/usr/bin/env bash
# The checks of kvm.sh. This is the init of the outer VM: it prints to the console.
# Do not run it by hand: it powers off the machine.
# shellcheck disable=SC2016,SC2317 # single quotes are for the inner shell; functions that check calls
# shellcheck source=tests/lab/outer-init.sh
. /lab/outer-init.sh

mount -t debugfs debugfs /sys/kernel/debug
mkdir -m 1777 /tmp/.X11-unix
modprobe -a virtio_rng vhost_vsock kvm_amd
chown user $HOME $work
# Until the user is to have it.
chmod 600 /dev/kvm
cd $HOME || exit 1
# The clock is that of a machine that is a hundred times faster.
export VIRTUALGHOST_BOOT_TIMEOUT=1200 VIRTUALGHOST_READY_TIMEOUT=1800 VIRTUALGHOST_POWEROFF_TIMEOUT=600

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
# timed WHAT COMMAND…: a check that also prints how long it took.
timed() { local start=$SECONDS; check "$@"; echo "    $((SECONDS - start)) s"; }
is() { [ "$1" = "$2" ] || { echo "\"$1\", not \"$2\"" && return 1; }; }
is_not_listed() { ! field "$1" .name; }
inner() { vg exec inner -- "$@"; }
start() { vg run --detach --vcpus 1 --memory 1024 --name inner "$@"; }

# --- Without permission.
plan_falls_back() { vg --display none --start boot --dry-run >$work/plan; grep -E '^accelerator +TCG .*no permission for /dev/kvm' $work/plan; }
check "a user who may not open /dev/kvm gets TCG, with the reason" plan_falls_back
is_refused() { vg --display none --accel kvm 2>&1 </dev/null | tee $work/refused; is "${PIPESTATUS[0]}" 2 && grep /dev/kvm $work/refused; }
check "--accel kvm is refused then, with the reason" is_refused
doctor_names_it() { vg doctor >$work/doctor; grep -A1 -E '^limited +accelerator +no permission for /dev/kvm' $work/doctor | grep 'usermod -aG kvm'; }
check "doctor says what to do" doctor_names_it

# --- With it.
chmod 666 /dev/kvm
chown user /dev/vhost-vsock
plan_has_kvm() { vg --display none --start boot --dry-run >$work/plan; head -3 $work/plan; grep -E '^accelerator +KVM' $work/plan; }
check "a user who may gets KVM" plan_has_kvm
timed "a VM boots under KVM and becomes ready" start --display none --start boot
show vg ps
runs_on_kvm() { is "$(field inner .accelerator)" kvm; }
check "ps says so" runs_on_kvm
guest_sees_it() { is "$(inner systemd-detect-virt)" kvm; }
check "the guest says so" guest_sees_it
has_vsock() { field inner '.channel.vsock | select(. >= 65536)'; }
check "its agent is on vsock" has_vsock
status() { inner sh -c 'exit 42'; is $? 42; }
check "exec returns a program's status" status
clock() { is "$(inner cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" kvm-clock; }
check "the guest's clock is KVM's" clock
exits() { cat /sys/kernel/debug/kvm/exits; }
is_quiet() {
    local before
    before=$(exits)
    sleep 20
    echo "$(($(exits) - before)) exits in 20 s"
    # A tick of 250 Hz alone would be 5000.
    (($(exits) - before < 4000))
}
check "an idle VM leaves its processor alone" is_quiet
chmod 000 /dev/kvm
check "the VM goes on if the device is closed to its user" status
later_ones_fall_back() { vg --display none --dry-run --name later >$work/plan; grep -E '^accelerator +TCG' $work/plan; }
check "and the next one gets TCG" later_ones_fall_back
chmod 666 /dev/kvm
inner sh -c 'echo kept >file && sync'
timed "the VM stops" vg stop inner
check "and is not listed any more" is_not_listed inner

# --- Instant start.
timed "a checkpoint is made under KVM" vg checkpoint --vcpus 1 --memory 1024 --display none
timed "a VM resumes it" start --display none --start instant
check "under KVM" guest_sees_it
check "its home is that of the VM before" inner grep -x kept file
in_time() {
    local before now after
    before=$(date +%s) now=$(inner date +%s) after=$(date +%s)
    echo "host $before to $after, guest $now"
    ((now >= before - 1 && now <= after + 1))
}
check "its clock is right" in_time

# --- Killed.
launcher=$(field inner .pid)
qemu=$(pgrep -P "$launcher" qemu)
kill -9 "$launcher"
ended() { ! kill -0 "$qemu"; }
check "a launcher that is killed takes QEMU with it" soon ended
check "and the VM is not listed any more" is_not_listed inner
timed "the VM starts again" start --display none
check "with its files" soon inner grep -x kept file
kill -9 "$(pgrep -P "$(field inner .pid)" qemu)"
check "a QEMU that is killed ends its VM" soon is_not_listed inner

# --- Windows.
Xvfb :7 -screen 0 1280x800x24 -nolisten tcp >/dev/null 2>&1 &
export DISPLAY=:7 LIBGL_ALWAYS_SOFTWARE=1
has_window() { xwininfo -root -tree | grep -i virtualghost; }
for way in '--display gtk --gl on' '--display gtk --gl off' '--display sdl --gl off'; do
    # shellcheck disable=SC2086 # words
    timed "a VM with a window becomes ready ($way)" start $way
    check "its window is there" has_window
    check "under KVM" runs_on_kvm
    check "it stops" vg stop inner
done
finish
