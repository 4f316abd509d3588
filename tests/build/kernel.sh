#!/usr/bin/env bash
# The kernel's configuration, for each architecture; no kernel is built. If there are a kernel (make assets) and QEMU, the
# kernel is booted as the launcher starts it, without a root filesystem: it must boot, and its panic must reach QEMU.
# Usage: [ARCH=x86_64|aarch64] tests/build/kernel.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

# shellcheck source=scripts/kernel.sh
. "$REPO/scripts/kernel.sh"
check=$REPO/scripts/check-kernel-config.sh
fragments=("$REPO"/docker/kernel/{,"$ARCH"/}*.config)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# refused MESSAGE FILE...: the check fails with this message.
refused() {
    local message=$1 output
    shift
    if output=$("$check" "$@" 2>&1); then die "passed; expected: $message"; fi
    grep -qF -- "$message" <<<"$output" || die "expected: $message; printed: $output"
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
    ! "$check" "$tmp/fragment" "$tmp/final" 2>&1 | grep -q CONFIG_FINE || die "names an option that is as in the fragment"
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

a_keyboards_queue_is_enlarged_and_a_source_with_another_is_refused() {
    printf '#define EVDEV_MIN_BUFFER_SIZE\t64U\n' >"$tmp/evdev.c"
    enlarge_key_queue "$tmp/evdev.c"
    grep -q '1024U$' "$tmp/evdev.c" || die "the queue is as before"
    printf '#define EVDEV_MIN_BUFFER_SIZE\t128U\n' >"$tmp/evdev.c"
    ! (enlarge_key_queue "$tmp/evdev.c") 2>"$tmp/said" || die "another queue is accepted"
    grep -q 'does not define EVDEV_MIN_BUFFER_SIZE as 64U' "$tmp/said" || die "printed: $(cat "$tmp/said")"
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
    grep -q 'Unable to mount root fs' "$log" || die "no panic without a root; the end of the console: $(tail -20 "$log")"
    # After a panic that pvpanic does not report, the guest would reboot and QEMU end with 0.
    ((status == 1)) || die "the panic did not reach QEMU (status $status)"
    calls=$(grep -c '\] calling  ' "$log")
    ((calls > 100 && calls <= initcalls)) ||
        die "$calls initcalls, the limit is $initcalls: remove new ones, or set another limit here with the reason"
}

# Each architecture's own options, image, machine and console, and its limit of initcalls: a little above the count when it
# was set.
case $ARCH in
x86_64) options=(CONFIG_PVH=y CONFIG_DMI_SYSFS=y) image=vmlinux machine=q35 console=ttyS0 initcalls=430 ;;
aarch64) options=(CONFIG_KEYBOARD_GPIO=y CONFIG_SERIAL_AMBA_PL011_CONSOLE=y) image=Image machine=virt console=ttyAMA0 initcalls=430 ;;
esac
for promise in a_configuration_as_asked_for_passes every_option_that_is_not_set_as_asked_is_named \
    each_single_option_of_the_fragments_is_checked fragments_that_contradict_each_other_are_refused \
    a_line_that_is_no_option_is_refused no_architecture_has_options_of_another \
    a_keyboards_queue_is_enlarged_and_a_source_with_another_is_refused \
    the_kernel_comes_up_with_no_more_initcalls_than_before_and_its_panic_reaches_qemu; do
    "$promise"
    say "ok: $ARCH: ${promise//_/ }"
done
