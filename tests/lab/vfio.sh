#!/usr/bin/env bash
# Tests GPU passthrough without a GPU: an outer VM (outer.sh) has an emulated IOMMU (VT-d) and emulated display devices, and
# a user passes them to inner VMs with EXECUTABLE. The checks are in vfio-outer.sh.
# Usage: tests/lab/vfio.sh EXECUTABLE      (TCG in TCG: about a quarter of an hour of one processor)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/vfio.sh EXECUTABLE"
executable=$(realpath "$1")
name=vfio
work=$(mktemp -d)
# OpenSSH and the host libraries of QEMU, as in scripts/install-deps.sh; then the tools of the checks.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0
    kmod mount iproute2 jq procps sudo pci.ids util-linux
)
drivers=('*/drivers/vfio/*' '*/virt/lib/*' '*/drivers/net/virtio_net*' '*/drivers/net/net_failover*' '*/net/core/failover*')
# shellcheck source=tests/lab/outer.sh
. "$REPO/tests/lab/outer.sh"

# The bus of the outer VM:
#   00:05.0  a root port with ACS; behind it a card of two functions, display and audio
#   00:06.0  a bridge to conventional PCI; devices behind it share a group: a display device and a network card
#   00:07.0  a root port; a card whose second function is a disk that takes a second for each request
#   00:08.0  a root port; bochs-display; only the GPU pack's kernel has its driver
iommu=iommu_platform=on,disable-legacy=on
truncate -s 64M "$work/slow.img"
# shellcheck disable=SC2054 # the commas are QEMU's
machine=(
    -machine q35 -device intel-iommu,intremap=on
    -device pcie-root-port,id=card,chassis=1,addr=0x5
    -audiodev none,id=silence
    -device "virtio-sound-pci,bus=card,addr=0.1,audiodev=silence,$iommu"
    -device "virtio-gpu-pci,bus=card,addr=0.0,multifunction=on,$iommu"
    -device pcie-pci-bridge,id=old,addr=0x6
    -device "virtio-gpu-pci,bus=old,addr=1,$iommu"
    -netdev user,id=net,restrict=on -device "virtio-net-pci,bus=old,addr=2,netdev=net,romfile=,$iommu"
    -device pcie-root-port,id=slow,chassis=3,addr=0x7
    -drive "if=none,id=slow,format=raw,file=$work/slow.img,throttling.iops-total=2"
    -device "virtio-blk-pci,bus=slow,addr=0.1,drive=slow,serial=slow,$iommu"
    -device "virtio-gpu-pci,bus=slow,addr=0.0,multifunction=on,$iommu"
    -device pcie-root-port,id=screen,chassis=4,addr=0x8 -device bochs-display,bus=screen,romfile=
)

# With the driver of bochs-display.
say "making the GPU pack"
GPU_DRIVERS=bochs "$REPO/scripts/build-gpu-pack.sh" "$REPO"/assets/build/{kernel,rootfs} "$work/gpu-pack"
outer_disks "$executable" "$work/gpu-pack"
say "starting the outer VM"
# The limit only ends a VM that hangs. Nothing is measured.
outer_run 120m intel_iommu=on "${machine[@]}"
check "the outer VM ran the checks up to the reset" grep -q '^the machine is reset' "$work/console"
say "starting the outer VM again"
outer_run 10m intel_iommu=on "${machine[@]}"
check "the outer VM booted again and ran the other checks" outer_complete
finish
