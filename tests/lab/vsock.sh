#!/usr/bin/env bash
# Tests the way to a VM's agent through vsock, on a machine of the test's own that has /dev/vhost-vsock: an outer VM
# with Debian's cloud kernel, in which EXECUTABLE runs as a user would run it and starts inner VMs.
# Usage: tests/lab/vsock.sh EXECUTABLE      (TCG in TCG: about ten minutes of one processor)
#
# What is checked stands in vsock-outer.sh, which is the outer VM's init; its lines come out on the serial console.
# The outer root is kept in the build cache (lab-vsock/), with the versions that Debian had when it was made.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

[ -x "${1-}" ] || die "usage: tests/lab/vsock.sh EXECUTABLE"
need mmdebstrap mkfs.ext4 dpkg-deb apt-get jq
executable=$(realpath "$1")
qemu=$REPO/assets/build/qemu
[ -x "$qemu/bin/qemu-system-x86_64" ] || die "no QEMU in $qemu; run: make package-qemu"

# A VM that says nothing for so long hangs. No promise is about time.
limit=30m
suites=(trixie trixie-updates trixie-security)
kernel=linux-image-cloud-amd64
# OpenSSH and what QEMU takes from the host, by scripts/install-deps.sh; then what the checks use.
packages=(
    openssh-client libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0
    kmod mount iproute2 jq procps
)

# What the outer kernel starts. It has NVMe and ext4 built in, so the root needs no initrd; the second disk comes by
# another driver, as the names of two NVMe disks are a matter of which is found first.
lab_init='#!/bin/bash
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
modprobe virtio_blk && mount /dev/vda /lab && exec /lab/vsock-outer.sh
'

build() (
    local dir=$1 tmp=$1/tmp image
    mkdir "$tmp"
    private_apt "$tmp/apt" "${suites[@]}"
    cd "$tmp"
    image=$(apt-cache "${apt_opts[@]}" depends "$kernel" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1)
    say "fetching $image"
    apt-get "${apt_opts[@]}" -qq download "$image"
    mkdir kernel
    dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x -C kernel --wildcards './boot/vmlinuz-*' \
        './usr/lib/modules/*/modules.*' '*/drivers/block/virtio_blk*' '*/drivers/char/hw_random/*' \
        '*/drivers/vhost/*' '*/net/vmw_vsock/*'
    mv kernel/boot/vmlinuz-* "$dir/vmlinuz"
    printf '%s' "$lab_init" >kernel/lab-init
    chmod 755 kernel/lab-init
    say "making the outer root"
    # shellcheck disable=SC2016 # $1 is for the hook's own shell
    as_root mmdebstrap --quiet --mode=root --variant=essential --format=directory --skip=chroot/mount \
        --include="$(IFS=,; printf '%s' "${packages[*]}")" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --customize-hook='cp -R kernel/usr/lib/modules "$1/usr/lib/" && chroot "$1" depmod "$(ls "$1/usr/lib/modules")"' \
        --customize-hook='chroot "$1" useradd --uid 1000 --shell /bin/bash user' \
        --customize-hook='mkdir "$1/lab" && cp kernel/lab-init "$1/"' \
        "${suites[0]}" root "$tmp/apt/sources.list" >&2 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    truncate -s 2G "$dir/root.img"
    as_root mkfs.ext4 -q -d root -L outer "$dir/root.img"
    as_root rm -rf root
    jq -n --arg kernel "$image" '{component: "lab-vsock", $kernel}' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$tmp"
)

work=$(mktemp -d)
vm=
end() {
    [ -z "$vm" ] || kill "$vm" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

key=$(inputs_key "=${suites[*]} $kernel ${packages[*]} $lab_init" "=$(declare -f build private_apt)" "=$SOURCE_DATE_EPOCH")
# In a subshell, as `cached` has a trap of its own.
(cached lab-vsock "$key" "$work/outer" build)

# The second disk: what is tested, what tests it, and space for the user's files.
mkdir "$work/lab"
cp "$executable" "$work/lab/virtualghost"
cp "$REPO/tests/lab/vsock-outer.sh" "$REPO/tests/build/check.sh" "$work/lab/"
truncate -s 12G "$work/lab.img"
mkfs.ext4 -q -d "$work/lab" "$work/lab.img"
rm -rf "$work/lab"

say "the outer VM starts"
# Its clock counts instructions, one a nanosecond, and not the host's seconds: the limits of the launcher and of
# systemd mean as much work as they do on a machine, however slow TCG in TCG is and whatever else runs here.
QEMU_MODULE_DIR=$qemu/lib/qemu timeout --kill-after=10 "$limit" "$qemu/bin/qemu-system-x86_64" \
    -nodefaults -no-user-config -no-reboot -display none -L "$qemu/share/qemu" \
    -machine q35 -accel tcg,thread=single -icount shift=0,sleep=on -cpu max -m 4096 \
    -kernel "$work/outer/vmlinuz" \
    -append "root=/dev/nvme0n1 ro console=ttyS0 quiet panic=-1 mitigations=off init=/lab-init" \
    -drive "if=none,id=root,format=raw,snapshot=on,file=$work/outer/root.img" -device nvme,drive=root,serial=root \
    -drive "if=none,id=lab,format=raw,file=$work/lab.img" -device virtio-blk-pci,drive=lab \
    -device virtio-rng-pci -serial "file:$work/console" </dev/null &
vm=$!

# The console's lines, while they come. The last one says that all was done.
touch "$work/console"
complete() { grep -qE '^[0-9]+ passed, [0-9]+ failed' "$work/console"; }
while IFS= read -r line; do
    line=${line%$'\r'}
    case $line in
    'ok: '*) pass "${line#ok: }" ;;
    'FAILED: '*) fail "${line#FAILED: }" ;;
    *) printf '  %s\n' "$line" ;;
    esac
done < <(tail -n +1 -f --pid="$vm" "$work/console")
vm=
check "the outer VM went through all of it" complete
finish
