#!/usr/bin/env bash
# Tests the connection to a VM's agent over vsock, on a machine with /dev/vhost-vsock: an outer VM (outer.sh) in which a user
# runs EXECUTABLE and starts inner VMs. The checks are in vsock-outer.sh.
# Usage: tests/lab/vsock.sh EXECUTABLE      (TCG in TCG: about ten minutes of one processor)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/vsock.sh EXECUTABLE"
executable=$(realpath "$1")
name=vsock
work=$(mktemp -d)
# OpenSSH and the host libraries of QEMU, as in scripts/install-deps.sh; then the tools of the checks.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0
    kmod mount iproute2 jq procps
)
drivers=('*/drivers/vhost/*' '*/net/vmw_vsock/*')
# shellcheck source=tests/lab/outer.sh
. "$REPO/tests/lab/outer.sh"

outer_disks "$executable"
say "starting the outer VM"
# The limit only ends a VM that hangs. Nothing is measured.
outer_run 30m "" -machine q35
check "the outer VM ran all checks" outer_complete
finish
