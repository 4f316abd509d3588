# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Memory and processor time of an idle VM under TCG. The time is that of QEMU and the launcher.
seconds=${IDLE_SECONDS:-30}

# Memory that the guest's kernel could not give to a new program.
guest_used() { took=$(in_vm idle -- cat /proc/meminfo | awk '/^MemTotal/ {all = $2} /^MemAvailable/ {print (all - $2) / 1024}'); }
# The proportional share of each mapping, except the guest's memory, which is the mapping of that size.
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
idle_cpu() { cpu_of "/proc/$(qemu_of idle)/stat" "/proc/$vm_idle/stat"; }
# Without the guest's vCPUs: TCG runs them in QEMU's threads, KVM in the processor itself.
without_tcg() { cpu_of "/proc/$(qemu_of idle)/task/$(qemu_of idle)/stat" "/proc/$vm_idle/stat"; }
# How often QEMU's threads wake up.
switches() { awk '/^voluntary_ctxt_switches:/ {sum += $2} END {print sum}' "/proc/$(qemu_of idle)"/task/*/status; }
wake_ups() {
    local before
    before=$(switches)
    sleep "$seconds"
    took=$(awk -v n=$(($(switches) - before)) -v s="$seconds" 'BEGIN {print n / s}')
}

unpack
start_vm idle --ephemeral --gl on
sleep "$seconds" # until what starts after the prompt has started
head_of_table "an idle VM (virgl, 2048 MiB, TCG)"
figure "memory in use in the guest" "at most 160 MiB" MiB guest_used
figure "guest memory in use on the host" "" MiB guest_touched
figure "... while 512 MiB more are in use" "" MiB use
figure "... 10 s after these are freed" "" MiB use_and_free
figure "other memory of QEMU" "" MiB qemu_overhead
figure "the launcher's memory" "" MiB launcher_memory
figure "share of one core, over $seconds s" "" % idle_cpu
figure "... without the guest's vCPUs, which cost almost nothing with KVM" "at most 1 %" % without_tcg
figure "wake-ups of QEMU's threads, over $seconds s" "" "per second" wake_ups
stop_vm idle
