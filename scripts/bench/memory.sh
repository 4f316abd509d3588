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
launcher_memory() { took=$(awk '/^Pss:/ {print $2 / 1024}' "/proc/$vm_idle/smaps_rollup"); }
ticks() { awk '{sum += $14 + $15} END {print sum}' "/proc/$(qemu_of idle)/stat" "/proc/$vm_idle/stat"; }
idle_cpu() {
    local before
    before=$(ticks)
    sleep "$seconds"
    took=$(awk -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v s="$seconds" 'BEGIN {print 100 * ticks / hz / s}')
}

unpack
start_vm idle --ephemeral --gl on
sleep "$seconds" # what starts after the prompt has started
head_of_table "an idle VM (virgl, 2048 MiB, TCG)"
figure "memory in use in the guest" "at most 160 MiB" MiB guest_used
figure "memory of the guest that the host has had to give" "" MiB guest_touched
figure "QEMU's memory besides" "" MiB qemu_overhead
figure "the launcher's memory" "" MiB launcher_memory
figure "of one core, over $seconds s" "KVM: at most 1 %" % idle_cpu
stop_vm idle
