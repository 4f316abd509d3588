#!/usr/bin/env bash
# Tests VMs under a KVM that works, without a processor that has it: TCG emulates AMD's SVM, so an outer VM (outer.sh) has
# /dev/kvm, and a user runs EXECUTABLE in it. The checks are in kvm-outer.sh.
# Usage: tests/lab/kvm.sh EXECUTABLE      (KVM in TCG: about a quarter of an hour of two processors)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/kvm.sh EXECUTABLE"
executable=$(realpath "$1")
name=kvm
work=$(mktemp -d)
# OpenSSH and the host libraries of QEMU, as in scripts/install-deps.sh; then the tools of the checks.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0 xkb-data
    kmod mount iproute2 jq procps xvfb x11-utils
)
drivers=('*/drivers/vhost/*' '*/net/vmw_vsock/*' '*/arch/x86/kvm/*' '*/virt/*')
# shellcheck source=tests/lab/outer.sh
. "$REPO/tests/lab/outer.sh"
# With one nanosecond per instruction KVM's guests come to no end, so this clock is the host's, and kvm-outer.sh raises the
# launcher's time limits.
outer_processor=(-accel "tcg,thread=multi" -smp 2 -cpu "EPYC-v1,+svm")

outer_disks "$executable"
say "starting the outer VM"
# The limit only ends a VM that hangs.
outer_run 60m "" -machine q35
check "the outer VM ran all checks" outer_complete
finish
