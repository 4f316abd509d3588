# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Several VMs at once, without a window. Memory is the proportional share of launchers and QEMUs: a page that they share
# counts once.
declare -A memory=()

# start_all COUNT: starts VMs at once; sets $took, until the last has its session, and adds to $memory[COUNT].
start_all() {
    local count=$1 i start sum=0 names=()
    start=$(now)
    for ((i = 0; i < count; i++)); do
        names+=("many$i")
        vg --accel tcg --ephemeral --name "many$i" --display none --detach >/dev/null 2>"$work/many$i" &
    done
    wait
    ms_since "$start"
    for name in "${names[@]}"; do
        vg ps --json | jq -e --arg name "$name" 'any(.[]; .name == $name)' >/dev/null || die "VM $name: $(cat "$work/$name")"
    done
    for launcher in $(vg ps --json | jq '.[].pid'); do
        for pid in "$launcher" $(pgrep -P "$launcher"); do
            sum=$((sum + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup")))
        done
    done
    memory[$count]+="$((sum / 1024)) "
    vg stop --all --force >/dev/null 2>&1
}

# The checkpoint is made before anything is measured.
vg checkpoint --accel tcg --ephemeral --display none >&2
counts=(1 2 4 8)
printf '%s\n' "| VMs at once | started after, s (range) | time for each | memory of all, MiB (range) | memory for each |" \
    "|---|---|---|---|---|" >&3
for count in "${counts[@]}"; do
    times=()
    for ((run = 0; run < runs; run++)); do
        start_all "$count"
        times+=("$(awk -v ms="$took" 'BEGIN {print ms / 1000}')")
    done
    IFS=$'\t' read -r time times_text < <(summary "${times[@]}")
    # shellcheck disable=SC2086 # a list of numbers
    IFS=$'\t' read -r mib mib_text < <(summary ${memory[$count]})
    awk -v n="$count" -v t="$time" -v times="$times_text" -v m="$mib" -v mibs="$mib_text" \
        'BEGIN {printf "| %d | %s | %.1f s | %s | %.0f MiB |\n", n, times, t / n, mibs, m / n}' >&3
done
