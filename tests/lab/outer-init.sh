# shellcheck shell=bash disable=SC2034 # work is for the checks
# The start of an outer VM (outer.sh): sourced by NAME-outer.sh, its init, which prints to the console. It powers the machine
# off at the end.
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

ln -s /proc/self/fd /dev/fd
mkdir -p /dev/shm /dev/pts $work $HOME
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp /dev/shm
ip link set lo up
