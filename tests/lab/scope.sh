#!/usr/bin/env bash
# QEMU's scope under a real systemd, which is that of a VM: in it, a user and root start the program with a stand-in for QEMU.
# Usage: [CARGO=cargo] tests/lab/scope.sh EXECUTABLE
# shellcheck disable=SC2016,SC2317 # single quotes are for the guest's shell; functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
cargo=${CARGO:-cargo} target=${CARGO_TARGET_DIR:-$REPO/target}
need "$cargo" jq
kernel_image() { find "$(build_path)/kernel" -name vmlinux -o -name Image; }
[ -n "$(kernel_image)" ] || die "no kernel in $(build_path)/kernel; run: make assets"
VIRTUALGHOST_EMPTY=1 "$cargo" build --quiet --manifest-path "$REPO/Cargo.toml" --bin virtualghost --example fake-qemu
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"
# shellcheck source=tests/lab/vm.sh
. "$REPO/tests/lab/vm.sh"

# start USER: starts a VM in the VM, and sets pid, its QEMU's.
start() {
    # shellcheck disable=SC2034 # for the checks
    vg exec scope -- "${as[@]}" sh -c 'cd /var/tmp/inner && VIRTUALGHOST_QEMU=$PWD/fake-qemu VIRTUALGHOST_JAIL=off \
        ./virtualghost run --kernel "$PWD/kernel" --rootfs "$PWD/root.img" --accel tcg --display none --memory 512 --name "$1" --detach' sh "$1" &&
        pid=$(vg exec scope -- pgrep -x fake-qemu)
}
is_in_scope() { vg exec scope -- cat "/proc/$pid/cgroup" | tee /dev/stderr | grep -q "/$1/virtualghost-$pid.scope\$"; }
property() { vg exec scope -- "${as[@]}" systemctl "$1" show --property "$2" --value "virtualghost-$pid.scope"; }
is_limited() { equal "$(property "$1" TasksMax)" 2048 && (($(property "$1" MemoryMax) > 512 << 20)); }
stop() { vg exec scope -- "${as[@]}" /var/tmp/inner/virtualghost stop "$1"; }
is_removed() { vg exec scope -- "${as[@]}" sh -c '! systemctl "$1" --quiet is-active "$2"' sh "$1" "virtualghost-$pid.scope"; }

launch scope
check "a VM is ready" await is scope ready
# Its user has a service manager as on a desktop.
check "its user has a service manager" vg exec scope -- sh -c 'loginctl enable-linger && systemctl --user is-system-running --wait'
mkdir "$work/inner"
cp "$target/debug/virtualghost" "$target/debug/examples/fake-qemu" "$work/inner/"
cp "$(kernel_image)" "$work/inner/kernel"
truncate -s 8M "$work/inner/root.img"
mkfs.ext4 -q "$work/inner/root.img"
check "the program is copied into it" vg cp "$work/inner" scope:/var/tmp/

for way in user root; do
    case $way in
    user) as=(env) manager=--user slice=app.slice ;;
    root) as=(sudo -H) manager=--system slice=system.slice ;;
    esac
    check "$way: a VM starts" start "$way"
    check "... QEMU is in a scope of its own" await is_in_scope "$slice"
    check "... with a limit of memory and threads" is_limited "$manager"
    check "... the VM stops" stop "$way"
    check "... and the scope is removed" await is_removed "$manager"
done
check "the VM stops" vg stop scope
finish
