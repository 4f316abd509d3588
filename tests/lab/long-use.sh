#!/usr/bin/env bash
# One VM in use for a long time: suspended hosts, full disks, programs killed for want of memory, 1,000 programs run from
# outside, 10,000 forwarded connections; then an orderly end with nothing left and a clean home.
# Usage: tests/lab/long-use.sh EXECUTABLE [MINUTES]   (default: 30)
# Needs root, for a small disk of its own. The user's configuration is neither read nor written.
# shellcheck disable=SC2016,SC2317 # single quotes are for the guest's shell; functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need jq ssh python3 pgrep dumpe2fs e2fsck
[ "$(id -u)" = 0 ] || die "$0 mounts a small disk: run it as root"
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"
minutes=${2-30}
rounds=10 execs=100 connections=1000

# The VM's files are on a small disk, which the test fills.
disk=$work/disk
mkdir "$disk"
mount -t tmpfs -o size=2500m,mode=700 tmpfs "$disk"
# shellcheck disable=SC2317 # called by the trap
unmount() {
    clean_up
    umount "$disk"
    rm -rf "$work"
}
trap unmount EXIT
export XDG_STATE_HOME=$disk/state XDG_DATA_HOME=$disk/data
homes=$XDG_DATA_HOME/virtualghost/homes
# shellcheck source=tests/lab/vm.sh
. "$REPO/tests/lab/vm.sh"
guest() { vg exec long -- "$@"; }

# ready: the VM runs, and its session was not replaced.
ready() { is long ready && equal "$(guest systemctl show --property NRestarts --value virtualghost-session)" 0; }
milliseconds() { date +%s%3N; }
# in_time: the guest's clock is within a second of the host's. It is read between two readings of the host's.
in_time() {
    local before now after
    before=$(milliseconds)
    now=$(guest date +%s%3N)
    after=$(milliseconds)
    echo "host $before to $after, guest $now"
    ((now >= before - 1000 && now <= after + 1000))
}
suspend_and_wake() {
    kill -STOP "$qemu"
    sleep 20
    kill -CONT "$qemu"
}
# The kernel kills the program that takes all memory, and nothing else: 128 + SIGKILL.
out_of_memory() {
    local status=0
    timeout 300 "$executable" exec long -- tail /dev/zero || status=$?
    equal "$status" 137
}
# executed FIRST: runs so many programs, one after the other, each with its own output and status.
executed() {
    local n status output
    for ((n = $1; n < $1 + execs; n++)); do
        status=0
        output=$(guest sh -c 'echo "number $1"; exit $(($1 % 50))' sh "$n" </dev/null) || status=$?
        equal "$output $status" "number $n $((n % 50))" || return
    done
}
# connected COUNT: opens so many forwarded connections, twenty at a time; each gets back what it sent.
connected() {
    python3 - "$1" "$forwarded" <<'PYTHON'
import concurrent.futures, socket, sys
count, port = map(int, sys.argv[1:])
def one(n):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
        s.settimeout(120)
        line = b"line %d\n" % n
        s.sendall(line)
        with s.makefile("rb") as f:
            return f.readline() == line
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    good = sum(pool.map(one, range(count)))
print(f"{good} of {count}")
sys.exit(good != count)
PYTHON
}
# full_disk: leaves no space on the disk while the guest writes, until the VM has paused.
full_disk() {
    local writer
    guest sh -c 'head -c 150M /dev/urandom >big && sync && sha256sum <big >big.sum' & writer=$!
    sleep 1
    head -c 3G /dev/zero >"$disk/filler" 2>/dev/null || true
    await is long paused || return
    rm "$disk/filler"
    # It goes on by itself, too, and may have done so already.
    vg resume long || is long ready || return
    await is long ready || return
    wait "$writer"
}
echo_server='
use IO::Socket::INET;
$SIG{CHLD} = "IGNORE";
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 7007, Listen => 128, ReuseAddr => 1) or die;
while (1) {
    my $client = $server->accept() or next;
    if (!fork) { my $line = <$client>; print $client $line; close $client; exit }
    close $client;
}'

launch long --memory 768
check "the VM is ready" await is long ready
qemu=$(qemu_of "$launcher")
guest sh -c 'head -c 20M /dev/urandom >kept && sync'
digest=$(guest sha256sum kept)
guest sh -c 'cat >echo.pl && (setsid perl echo.pl >/dev/null 2>&1 &)' <<<"$echo_server"
vg ssh-config >"$work/ssh-config"
forwarded=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ssh -F "$work/ssh-config" -N -o ExitOnForwardFailure=yes -L "127.0.0.1:$forwarded:127.0.0.1:7007" vg-long &
servers+=($!)
check "a port is forwarded" await connected 1

SECONDS=0
for ((round = 0; round < rounds; round++)); do
    echo "== round $((round + 1)) of $rounds, after $SECONDS s"
    check "$execs programs run, with their output and status" executed $((round * execs))
    check "$connections forwarded connections carry what they should" connected "$connections"
    check "the host is suspended and wakes" suspend_and_wake
    check "the guest's clock is right soon after" await in_time
    check "a program that takes all memory is killed" out_of_memory
    check "the host's disk is full: the VM pauses, and goes on when there is space" full_disk
    check "what was written meanwhile is whole" guest sh -c 'sha256sum <big | cmp - big.sum && rm big big.sum'
    check "the session is the first one" ready
    # The rounds are spread over the whole time.
    rest=$((minutes * 60 * (round + 1) / rounds - SECONDS))
    ((rest <= 0)) || sleep "$rest"
done

check "the oldest file is unchanged" equal "$(guest sha256sum kept)" "$digest"
check "the VM stops" vg stop long
check "its launcher ends with status 0" ended 0
check "QEMU ends" gone "$qemu"
check "its home is clean" home_is_clean long
check "and has no errors" e2fsck -fn "$homes/long.img"
nothing_left() {
    local left
    left=$(pgrep -fa -- "$work" | grep -v "ssh -F\|$0" || true)
    echo "$left"
    [ -z "$left" ]
}
check "no process is left" nothing_left
check "no overlay is left" equal "$(find "$XDG_CACHE_HOME/virtualghost/overlays" -mindepth 1)" ""
finish
