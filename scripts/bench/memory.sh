# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Goal 6: what a VM takes while nothing is done in it. Under TCG; the processor's share is QEMU's and the launcher's.
seconds=${IDLE_SECONDS:-30}

# What the kernel could not give to a new program.
guest_used() { took=$(in_vm idle -- cat /proc/meminfo | awk '/^MemTotal/ {all = $2} /^MemAvailable/ {print (all - $2) / 1024}'); }
# Of each mapping its proportional share, without the guest's memory, which is the one of that size.
qemu_overhead() {
    took=$(awk -v memory=$((2048 << 10)) '/^Size:/ {guest = $2 == memory} /^Pss:/ && !guest {sum += $2} END {print sum / 1024}' \
        "/proc/$(qemu_of idle)/smaps")
}
guest_touched() {
    took=$(awk -v memory=$((2048 << 10)) '/^Size:/ {guest = $2 == memory} /^Pss:/ && guest {sum += $2} END {print sum / 1024}' \
        "/proc/$(qemu_of idle)/smaps")
}
# Memory that the guest frees goes back to the host, by free page reporting, within seconds.
use_and_free() {
    in_vm idle -- sh -c 'head -c 512M /dev/zero >/dev/shm/much'
    guest_touched
    in_use=$took
    in_vm idle -- rm /dev/shm/much
    sleep 10
    guest_touched
}
use() { use_and_free && took=$in_use; }
launcher_memory() { took=$(awk '/^Pss:/ {print $2 / 1024}' "/proc/$vm_idle/smaps_rollup"); }
# cpu_of STAT...: the share of one core that these take (proc_pid_stat(5)).
ticks() { awk '{sum += $14 + $15} END {print sum}' "$@"; }
cpu_of() {
    local before
    before=$(ticks "$@")
    sleep "$seconds"
    took=$(awk -v ticks=$(($(ticks "$@") - before)) -v hz="$(getconf CLK_TCK)" -v s="$seconds" 'BEGIN {print 100 * ticks / hz / s}')
}
idle_cpu() { cpu_of "/proc/$(qemu_of idle)/stat" "/proc/$vm_idle/stat"; }
# Without the guest's processors, which TCG executes in threads of QEMU's and KVM in the processor itself.
without_tcg() { cpu_of "/proc/$(qemu_of idle)/task/$(qemu_of idle)/stat" "/proc/$vm_idle/stat"; }
# How often one of QEMU's threads has something to do.
switches() { awk '/^voluntary_ctxt_switches:/ {sum += $2} END {print sum}' "/proc/$(qemu_of idle)"/task/*/status; }
wake_ups() {
    local before
    before=$(switches)
    sleep "$seconds"
    took=$(awk -v n=$(($(switches) - before)) -v s="$seconds" 'BEGIN {print n / s}')
}

unpack
start_vm idle --ephemeral --gl on
sleep "$seconds" # what starts after the prompt has started
head_of_table "an idle VM (virgl, 2048 MiB, TCG)"
figure "memory in use in the guest" "at most 160 MiB" MiB guest_used
figure "memory of the guest that the host has had to give" "" MiB guest_touched
figure "... while 512 MiB more are in use" "" MiB use
figure "... 10 s after these were freed" "" MiB use_and_free
figure "QEMU's memory besides" "" MiB qemu_overhead
figure "the launcher's memory" "" MiB launcher_memory
figure "of one core, over $seconds s" "" % idle_cpu
figure "... without the guest's processors, which cost KVM next to nothing" "at most 1 %" % without_tcg
figure "QEMU's threads wake up, over $seconds s" "" "times a second" wake_ups
stop_vm idle
