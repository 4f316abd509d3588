# shellcheck shell=bash disable=SC2154,SC2016,SC2164 # set by the test; for another shell; scripts/lib.sh has set -e
# A separate machine for a test: an outer VM with Debian's cloud kernel, in which a user runs the launcher and starts inner
# VMs. Sourced by tests of this folder, after scripts/lib.sh and tests/build/check.sh.
#
# The checks are in NAME-outer.sh, the outer VM's init, which prints to the serial console.
# The outer root is kept in the build cache (lab-NAME/), with Debian's versions of that day.
# The test sets: name, work; packages (of the outer root, beside the essential ones); drivers (tar patterns).

# The processor, by QEMU's flags. A test may set another one. The clock of this one advances one nanosecond per instruction, so
# the time limits of the launcher and of systemd allow the same work as on a real machine, however slow TCG in TCG is.
outer_processor=(-accel "tcg,thread=single" -icount "shift=0,sleep=on" -cpu max)

need mmdebstrap mkfs.ext4 dpkg-deb apt-get jq unshare pgrep
outer_suites=(trixie trixie-updates trixie-security)
outer_kernel=linux-image-cloud-amd64

# The init of the outer VM. The kernel has NVMe and ext4 built in, so it needs no initrd. The second disk has another driver,
# because the names of two NVMe disks depend on which is found first.
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

# Debian's QEMU, because the executable's has the devices of the inner VM alone: unpacked with its libraries into a folder.
build_outer_qemu() (
    local dir=$1 tmp=$1/tmp root=$1/root link deb
    mkdir -p "$tmp" "$root"/{usr/{bin,sbin,lib,lib64},dev,proc,tmp}
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
    private_apt "$tmp/apt" "${outer_suites[@]}"
    apt-get "${apt_opts[@]}" -qq -y -o Debug::NoLocking=1 -o APT::Install-Recommends=false --download-only \
        install '?essential' qemu-system-x86 >/dev/null
    for deb in "$tmp"/apt/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" --keep-directory-symlink --no-same-owner -x
    done
    rm -rf "$tmp"
    jq -n '{component: "lab-qemu"}' >"$dir/manifest.json"
)

# outer_qemu ARGUMENT…: runs it, with this machine's devices and the test's folder.
outer_qemu() {
    as_root unshare --mount bash -euc '
        root=$1 work=$2 && shift 2
        mkdir -p "$root$work" && mount --rbind "$work" "$root$work"
        mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc"
        exec chroot "$root" "$@"
    ' bash "$work/qemu/root" "$work" timeout --kill-after=10 "$@"
}

outer_vm=
outer_end() {
    # The shell of the background job has one child, which passes the signal on.
    [ -z "$outer_vm" ] || pgrep -P "$outer_vm" | as_root xargs -r kill || true
    rm -rf "$work"
}
trap outer_end EXIT

# outer_disks EXECUTABLE [FOLDER…]: makes the root, and a second disk with the executable, the checks, these folders, and
# space for the user's files.
outer_disks() {
    local key
    key=$(inputs_key "=$name ${outer_suites[*]} $outer_kernel ${packages[*]} ${drivers[*]} $outer_init" \
        "=$(declare -f build_outer private_apt)" "=$SOURCE_DATE_EPOCH")
    # In a subshell, because `cached` sets a trap.
    (cached "lab-$name" "$key" "$work/outer" build_outer)
    key=$(inputs_key "=${outer_suites[*]}" "=$(declare -f build_outer_qemu private_apt)")
    (cached lab-qemu "$key" "$work/qemu" build_outer_qemu)
    mkdir "$work/lab"
    cp "$1" "$work/lab/virtualghost"
    cp "$REPO/tests/lab/$name-outer.sh" "$work/lab/outer.sh"
    cp "$REPO/tests/build/check.sh" "$REPO/tests/lab/outer-init.sh" "$work/lab/"
    (($# == 1)) || cp -R "${@:2}" "$work/lab/"
    truncate -s 12G "$work/lab.img"
    mkfs.ext4 -q -d "$work/lab" "$work/lab.img"
    rm -rf "$work/lab"
}

# outer_run LIMIT KERNEL-ARGUMENTS ARGUMENT…: boots the outer VM with these additional QEMU arguments, and counts its checks.
outer_run() {
    local limit=$1 append=$2 line
    shift 2
    : >"$work/console"
    outer_qemu "$limit" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
        "${outer_processor[@]}" -m 4096 \
        -kernel "$work/outer/vmlinuz" \
        -append "root=/dev/nvme0n1 ro console=ttyS0 quiet panic=-1 mitigations=off init=/lab-init $append" \
        "$@" \
        -drive "if=none,id=root,format=raw,snapshot=on,file=$work/outer/root.img" -device nvme,drive=root,serial=root \
        -drive "if=none,id=lab,format=raw,file=$work/lab.img" -device virtio-blk-pci,drive=lab,serial=lab \
        -device virtio-rng-pci -serial "file:$work/console" </dev/null &
    outer_vm=$!
    # Prints the console's lines as they are written.
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

# A complete run ends with this line.
outer_complete() { grep -qE '^[0-9]+ passed, [0-9]+ failed' "$work/console"; }
