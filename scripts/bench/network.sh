# shellcheck shell=bash disable=SC2154,SC2034 # sourced by scripts/bench.sh The network card's peer beside QEMU's user
# network (libslirp), without a VM, whose processor would be the limit: a guest is a namespace with Linux's own TCP/IP,
# and the server is on a loopback interface. The system's QEMU has the user network (Debian's qemu-system-x86); ours has
# none. What counts as CPU time is that of all processes of the network: of the peer and the QEMU that is its cable, or
# of the QEMU with the user network.
mib=${NETWORK_MIB:-256}
need qemu-system-x86_64 curl unshare nsenter
guests=$work/network lab=$REPO/scripts/bench/network.py
mkdir "$guests"

unshare --map-root-user --net --mount python3 "$lab" serve "$executable" "$(command -v qemu-system-x86_64)" "$guests" &
lab_pid=$!
while [ ! -s "$guests/port" ]; do
    kill -0 "$lab_pid" || die "the namespaces can't be made"
    sleep 0.1
done
port=$(cat "$guests/port")
head -c "${mib}M" /dev/zero >"$work/sent"

# as_guest NAME COMMAND...: runs a command in a guest.
as_guest() { nsenter -t "$(cat "$guests/$1")" -U -n --preserve-credentials "${@:2}"; }
# in_guest COMMAND...: the same in the first guest of $network.
in_guest() { as_guest "${network}1" "$@"; }
# cpu_of NAME: prints the CPU time of a guest's network so far, in ns.
cpu_of() {
    local pid
    while read -r pid; do cat "/proc/$pid/task/"*/schedstat; done <"$guests/$1.network" |
        awk '{sum += $1} END {printf "%.0f\n", sum}'
}
peer() { network=peer && "$measure" "$measured"; }
slirp() { network=slirp && "$measure" "$measured"; }
# cpu COMMAND: sets $took to the CPU time that the network needs for it.
cpu() {
    local before
    before=$(cpu_of "${network}1")
    timed "$1"
    took=$(awk -v ns="$(($(cpu_of "${network}1") - before))" 'BEGIN {printf "%.2f", ns / 1e6}')
}
# row MEASURE WHAT FUNCTION: timed or cpu.
row() {
    measure=$1 measured=$3
    compare "$2" "at most 1" peer "QEMU's user network" slirp
}
# wakeups N: sets $took to how often the peer wakes up in 10 s with N connections on which nothing happens.
wakeups() {
    local pid before held
    pid=$(head -n1 "$guests/peer1.network")
    exec {held}< <(as_guest peer1 python3 "$lab" hold "$1" "$port")
    holder=$!
    read -r -u "$held" _
    sleep 1
    before=$(switches "$pid")
    sleep 10
    took=$(($(switches "$pid") - before))
    kill "$holder"
    exec {held}<&-
}
switches() { awk '/^voluntary_ctxt_switches/ {print $2}' "/proc/$1/status"; }
wakeups_of_none() { wakeups 0; }
wakeups_of_four() { wakeups 4; }
download() { in_guest curl -sSf -o /dev/null "http://10.0.2.2:$port/$mib"; }
upload() { in_guest curl -sSf -o /dev/null -T "$work/sent" "http://10.0.2.2:$port/sent"; }
connections() { in_guest python3 "$lab" connect 1000 "$port"; }
turns() { in_guest python3 "$lab" turns 1000 "$port"; }
names() { in_guest python3 "$lab" names 1000 "$port"; }
all_download() {
    local number
    local -a pids=()
    for number in 1 2 3 4; do
        as_guest "$network$number" curl -sSf -o /dev/null "http://10.0.2.2:$port/$mib" &
        pids+=($!)
    done
    for number in "${pids[@]}"; do wait "$number"; done
}

head_of_table "the network, without a VM"
row timed "$mib MiB to the guest" download
row timed "$mib MiB from the guest" upload
row timed "$mib MiB to each of four guests at once" all_download
row timed "1,000 connections, one after the other" connections
row timed "1,000 turns of one byte" turns
row timed "1,000 questions for a name" names
row cpu "CPU time for $mib MiB to the guest" download
row cpu "CPU time for $mib MiB from the guest" upload
row cpu "CPU time for 1,000 connections" connections
row cpu "CPU time for 1,000 turns of one byte" turns
row cpu "CPU time for 1,000 questions for a name" names
figure "the peer's wake-ups in 10 s, no connection" 0 "" wakeups_of_none
figure "the peer's wake-ups in 10 s, four idle connections" 0 "" wakeups_of_four
kill "$lab_pid"
wait "$lab_pid" 2>/dev/null || true
