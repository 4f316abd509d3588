#!/usr/bin/env bash
# What the kernel's build promises about its configuration, for each architecture; no kernel is built. If one is there
# (make assets), and QEMU with it, it is also booted without a root file system: it has to come up the way that the
# launcher starts it, and its panic to reach QEMU.
# Usage: [ARCH=x86_64|aarch64] tests/build/kernel.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

check=$REPO/scripts/check-kernel-config.sh
fragments=("$REPO"/docker/kernel/{,"$ARCH"/}*.config)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# refused MESSAGE FILE...: the check fails, and names what is wrong.
refused() {
    local message=$1 output
    shift
    if output=$("$check" "$@" 2>&1); then die "passed, but should say: $message"; fi
    grep -qF -- "$message" <<<"$output" || die "should say: $message; said: $output"
}

a_configuration_as_asked_for_passes() {
    cat "${fragments[@]}" >"$tmp/final"
    "$check" "${fragments[@]}" "$tmp/final"
    printf '# CONFIG_VT is not set\n' >"$tmp/unset"
    printf '# no mention of it\n' >"$tmp/absent"
    printf 'CONFIG_VT=n\n' >"$tmp/fragment"
    "$check" "$tmp/fragment" "$tmp/unset"
    "$check" "$tmp/fragment" "$tmp/absent"
}

every_option_that_is_not_set_as_asked_is_named() {
    printf '%s\n' '# a group' CONFIG_GONE=y CONFIG_BITS=32 'CONFIG_NAME="a b"' CONFIG_STAYS=n CONFIG_FINE=y \
        >"$tmp/fragment"
    printf '%s\n' '# CONFIG_GONE is not set' CONFIG_BITS=28 'CONFIG_NAME="a"' CONFIG_STAYS=y CONFIG_FINE=y \
        >"$tmp/final"
    refused "CONFIG_GONE=y is asked for in $tmp/fragment, but it is n" "$tmp/fragment" "$tmp/final"
    refused 'CONFIG_BITS=32' "$tmp/fragment" "$tmp/final"
    refused 'CONFIG_NAME="a b"' "$tmp/fragment" "$tmp/final"
    refused 'CONFIG_STAYS=n' "$tmp/fragment" "$tmp/final"
    ! "$check" "$tmp/fragment" "$tmp/final" 2>&1 | grep -q CONFIG_FINE || die "names an option that is as asked for"
}

each_single_option_of_the_fragments_is_checked() {
    local option
    for option in "${options[@]}" CONFIG_VT=n CONFIG_NR_CPUS=256; do
        grep -qx "$option" "${fragments[@]}" || die "no fragment for $ARCH has $option"
        cat "${fragments[@]}" | sed "s/^$option\$/${option%%=*}=other/" >"$tmp/final"
        refused "$option" "${fragments[@]}" "$tmp/final"
    done
}

fragments_that_contradict_each_other_are_refused() {
    printf 'CONFIG_VT=n\n' >"$tmp/one"
    printf 'CONFIG_VT=y\n' >"$tmp/two"
    refused "CONFIG_VT=n in $tmp/one, but =y in $tmp/two" "$tmp/one" "$tmp/two" "$tmp/two"
}

a_line_that_is_no_option_is_refused() {
    printf 'CONFG_VT=n\n' >"$tmp/fragment"
    refused "$tmp/fragment:1: not an option" "$tmp/fragment" "$tmp/fragment"
}

no_architecture_has_options_of_another() {
    local other
    for other in X86 PVH ACPI ARM64 PL011; do
        ! grep -E "^CONFIG_(.*_)?$other(_|=)" "$REPO"/docker/kernel/*.config || die "$other in a fragment for all"
    done
}

the_kernel_comes_up_with_no_more_initcalls_than_before_and_its_panic_reaches_qemu() {
    local built status=0 log=$tmp/console calls
    built=$(build_path)
    local kernel=$built/kernel/$image qemu=$built/qemu
    if [ ! -f "$kernel" ] || [ ! -x "$qemu/bin/qemu-system-$ARCH" ]; then
        say "not booted: no kernel or no QEMU in $built; run: make assets package-qemu ARCH=$ARCH"
        return
    fi
    QEMU_MODULE_DIR=$qemu/lib/qemu timeout 120 "$qemu/bin/qemu-system-$ARCH" -L "$qemu/share/qemu" \
        -nodefaults -no-reboot -machine "$machine" -accel tcg -cpu max -smp 2 -m 512 -display none -serial "file:$log" \
        -device pvpanic-pci -action panic=exit-failure \
        -kernel "$kernel" -append "root=/dev/vda console=$console panic=-1 initcall_debug loglevel=8" || status=$?
    grep -q 'Unable to mount root fs' "$log" || die "no panic for want of a root; the console ends: $(tail -20 "$log")"
    # A panic that pvpanic doesn't report would end in a reboot, and QEMU with 0.
    ((status == 1)) || die "QEMU didn't see the panic (status $status)"
    calls=$(grep -c '\] calling  ' "$log")
    ((calls > 100 && calls <= initcalls)) ||
        die "$calls initcalls, where $initcalls were enough: drop what is new, or set another limit here and say why"
}

# What the promises are held to: options that only this architecture has, its image, machine and console; what its
# kernel starts with, and a little.
case $ARCH in
x86_64) options=(CONFIG_PVH=y CONFIG_DMI_SYSFS=y) image=vmlinux machine=q35 console=ttyS0 initcalls=430 ;;
aarch64) options=(CONFIG_KEYBOARD_GPIO=y CONFIG_SERIAL_AMBA_PL011_CONSOLE=y) image=Image machine=virt console=ttyAMA0 initcalls=430 ;;
esac
for promise in a_configuration_as_asked_for_passes every_option_that_is_not_set_as_asked_is_named \
    each_single_option_of_the_fragments_is_checked fragments_that_contradict_each_other_are_refused \
    a_line_that_is_no_option_is_refused no_architecture_has_options_of_another \
    the_kernel_comes_up_with_no_more_initcalls_than_before_and_its_panic_reaches_qemu; do
    "$promise"
    say "ok: $ARCH: ${promise//_/ }"
done
