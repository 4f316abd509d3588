#!/usr/bin/env bash
# Tests GPU passthrough for real, without a GPU: an outer VM (outer.sh) has an emulated IOMMU (VT-d) and emulated display
# devices, and EXECUTABLE hands them to inner VMs as a user would. What is checked: vfio-outer.sh.
# Usage: tests/lab/vfio.sh EXECUTABLE      (TCG in TCG: about a quarter of an hour of one processor)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/vfio.sh EXECUTABLE"
executable=$(realpath "$1")
name=vfio
work=$(mktemp -d)
# OpenSSH and what QEMU takes from the host, by scripts/install-deps.sh; then what the checks use.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0
    kmod mount iproute2 jq procps sudo pci.ids util-linux
)
drivers=('*/drivers/vfio/*' '*/virt/lib/*' '*/drivers/net/virtio_net*' '*/drivers/net/net_failover*' '*/net/core/failover*')
# shellcheck source=tests/lab/outer.sh
. "$REPO/tests/lab/outer.sh"

# The bus of the outer VM:
#   00:05.0  a root port, which has ACS; behind it a card of two functions, display and audio
#   00:06.0  a bridge to conventional PCI; what is behind it shares a group: a display device and a network card
#   00:07.0  a root port; a card whose second function is a disk that takes a second for each request
#   00:08.0  a root port; bochs-display, which only the GPU pack's kernel has a driver for
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

# With the driver of that device.
say "the GPU pack"
GPU_DRIVERS=bochs "$REPO/scripts/build-gpu-pack.sh" "$REPO"/assets/build/{kernel,rootfs} "$work/gpu-pack"
outer_disks "$executable" "$work/gpu-pack"
say "the outer VM starts"
# A VM that says nothing for so long hangs. No promise is about time.
outer_run 120m intel_iommu=on "${machine[@]}"
check "the outer VM went through all of it, up to a reset in the middle" grep -q '^the machine is reset' "$work/console"
say "the outer VM starts again"
outer_run 10m intel_iommu=on "${machine[@]}"
check "the outer VM came back and went through the rest" outer_complete
finish
