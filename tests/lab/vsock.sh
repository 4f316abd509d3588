#!/usr/bin/env bash
# Tests the way to a VM's agent through vsock, on a machine of the test's own that has /dev/vhost-vsock: an outer VM
# (outer.sh) in which EXECUTABLE runs as a user would run it and starts inner VMs. What is checked: vsock-outer.sh.
# Usage: tests/lab/vsock.sh EXECUTABLE      (TCG in TCG: about ten minutes of one processor)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/vsock.sh EXECUTABLE"
executable=$(realpath "$1")
name=vsock
work=$(mktemp -d)
# OpenSSH and what QEMU takes from the host, by scripts/install-deps.sh; then what the checks use.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0
    kmod mount iproute2 jq procps
)
drivers=('*/drivers/vhost/*' '*/net/vmw_vsock/*')
# shellcheck source=tests/lab/outer.sh
. "$REPO/tests/lab/outer.sh"

outer_disks "$executable"
say "the outer VM starts"
# A VM that says nothing for so long hangs. No promise is about time.
outer_run 30m "" -machine q35
check "the outer VM went through all of it" outer_complete
finish
