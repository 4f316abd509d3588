# shellcheck shell=bash disable=SC2154,SC2016,SC2164 # set by the test; for another shell; scripts/lib.sh has set -e
# A machine of a test's own: an outer VM with Debian's cloud kernel, in which the launcher runs as a user would run it
# and starts inner VMs. Sourced by tests of this folder, after scripts/lib.sh and tests/build/check.sh.
#
# What is checked stands in NAME-outer.sh, which is the outer VM's init; its lines come out on the serial console.
# The outer root is kept in the build cache (lab-NAME/), with the versions that Debian had when it was made.
# The test sets: name, work; packages (of the outer root, beside the essential ones); drivers (tar patterns).

need mmdebstrap mkfs.ext4 dpkg-deb apt-get jq
outer_qemu=$REPO/assets/build/qemu
[ -x "$outer_qemu/bin/qemu-system-x86_64" ] || die "no QEMU in $outer_qemu; run: make package-qemu"
outer_suites=(trixie trixie-updates trixie-security)
outer_kernel=linux-image-cloud-amd64

# What the outer kernel starts. It has NVMe and ext4 built in, so the root needs no initrd; the second disk comes by
# another driver, as the names of two NVMe disks are a matter of which is found first.
outer_init='#!/bin/bash
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
modprobe virtio_blk
disk=$(grep -lx lab /sys/block/vd*/serial)
disk=${disk%/serial}
mount "/dev/${disk##*/}" /lab && exec /lab/outer.sh
'

build_outer() (
    local dir=$1 tmp=$1/tmp image
    mkdir "$tmp"
    private_apt "$tmp/apt" "${outer_suites[@]}"
    cd "$tmp"
    image=$(apt-cache "${apt_opts[@]}" depends "$outer_kernel" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1)
    say "fetching $image"
    apt-get "${apt_opts[@]}" -qq download "$image"
    mkdir kernel
    dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x -C kernel --wildcards './boot/vmlinuz-*' \
        './usr/lib/modules/*/modules.*' '*/drivers/block/virtio_blk*' '*/drivers/char/hw_random/*' "${drivers[@]}"
    mv kernel/boot/vmlinuz-* "$dir/vmlinuz"
    printf '%s' "$outer_init" >kernel/lab-init
    chmod 755 kernel/lab-init
    say "making the outer root"
    # shellcheck disable=SC2016 # $1 is for the hook's own shell
    as_root mmdebstrap --quiet --mode=root --variant=essential --format=directory --skip=chroot/mount \
        --include="$(IFS=,; printf '%s' "${packages[*]}")" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --customize-hook='cp -R kernel/usr/lib/modules "$1/usr/lib/" && chroot "$1" depmod "$(ls "$1/usr/lib/modules")"' \
        --customize-hook='chroot "$1" useradd --uid 1000 --shell /bin/bash user' \
        --customize-hook='mkdir "$1/lab" "$1/var/lib/virtualghost" && cp kernel/lab-init "$1/"' \
        --customize-hook='mkdir -p "$1/etc/sudoers.d" && echo "user ALL=(ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/user"' \
        "${outer_suites[0]}" root "$tmp/apt/sources.list" >&2 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    truncate -s 2G "$dir/root.img"
    as_root mkfs.ext4 -q -d root -L outer "$dir/root.img"
    as_root rm -rf root
    jq -n --arg kernel "$image" --arg component "lab-$name" '{$component, $kernel}' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$tmp"
)

outer_vm=
outer_end() {
    [ -z "$outer_vm" ] || kill "$outer_vm" 2>/dev/null || true
    rm -rf "$work"
}
trap outer_end EXIT

# outer_disks EXECUTABLE [FOLDER…]: the root, and a second disk with what is tested, what tests it, these folders, and
# space for the user's files.
outer_disks() {
    local key
    key=$(inputs_key "=$name ${outer_suites[*]} $outer_kernel ${packages[*]} ${drivers[*]} $outer_init" \
        "=$(declare -f build_outer private_apt)" "=$SOURCE_DATE_EPOCH")
    # In a subshell, as `cached` has a trap of its own.
    (cached "lab-$name" "$key" "$work/outer" build_outer)
    mkdir "$work/lab"
    cp "$1" "$work/lab/virtualghost"
    cp "$REPO/tests/lab/$name-outer.sh" "$work/lab/outer.sh"
    cp "$REPO/tests/build/check.sh" "$work/lab/"
    (($# == 1)) || cp -R "${@:2}" "$work/lab/"
    truncate -s 12G "$work/lab.img"
    mkfs.ext4 -q -d "$work/lab" "$work/lab.img"
    rm -rf "$work/lab"
}

# outer_run LIMIT KERNEL-ARGUMENTS ARGUMENT…: boots the outer VM with these more arguments of QEMU's, and counts its
# checks. Its clock counts instructions, one a nanosecond, and not the host's seconds: the limits of the launcher and of
# systemd mean as much work as they do on a machine, however slow TCG in TCG is and whatever else runs here.
outer_run() {
    local limit=$1 append=$2 line
    shift 2
    : >"$work/console"
    QEMU_MODULE_DIR=$outer_qemu/lib/qemu timeout --kill-after=10 "$limit" "$outer_qemu/bin/qemu-system-x86_64" \
        -nodefaults -no-user-config -no-reboot -display none -L "$outer_qemu/share/qemu" \
        -accel tcg,thread=single -icount shift=0,sleep=on -cpu max -m 4096 \
        -kernel "$work/outer/vmlinuz" \
        -append "root=/dev/nvme0n1 ro console=ttyS0 quiet panic=-1 mitigations=off init=/lab-init $append" \
        "$@" \
        -drive "if=none,id=root,format=raw,snapshot=on,file=$work/outer/root.img" -device nvme,drive=root,serial=root \
        -drive "if=none,id=lab,format=raw,file=$work/lab.img" -device virtio-blk-pci,drive=lab,serial=lab \
        -device virtio-rng-pci -serial "file:$work/console" </dev/null &
    outer_vm=$!
    # The console's lines, while they come.
    while IFS= read -r line; do
        line=${line%$'\r'}
        case $line in
        'ok: '*) pass "${line#ok: }" ;;
        'FAILED: '*) fail "${line#FAILED: }" ;;
        *) printf '  %s\n' "$line" ;;
        esac
    done < <(tail -n +1 -f --pid="$outer_vm" "$work/console")
    outer_vm=
}

# The last line of a run that went through all of it.
outer_complete() { grep -qE '^[0-9]+ passed, [0-9]+ failed' "$work/console"; }
