#!/usr/bin/env bash
# The checks of vfio.sh. This is the init of the outer VM: it prints to the console.
# Do not run it by hand: it powers off the machine.
# shellcheck disable=SC2016,SC2317 # single quotes are for another shell; functions are called by name
# shellcheck source=tests/lab/outer-init.sh
. /lab/outer-init.sh

# This folder survives a reboot.
mkdir -p /lab/state
mount --bind /lab/state /var/lib/virtualghost
modprobe -a virtio_rng virtio_net
chown user $HOME $work
ulimit -l unlimited
cd $HOME || exit 1

# vg ARGUMENT…: runs the launcher as the user; root ARGUMENT…: runs it with sudo.
as_user=(setpriv --reuid=user --regid=user --init-groups --inh-caps=-all)
vg() { "${as_user[@]}" /lab/virtualghost "$@"; }
root() { "${as_user[@]}" sudo /lab/virtualghost "$@"; }
show() { printf -- '--- %s\n' "$*"; "$@" 2>&1 | tail -40; }
# soon COMMAND…: waits up to ten minutes until it succeeds. The pauses are long, because each attempt slows down the VM.
soon() {
    local i
    for ((i = 0; i < 200; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 3
    done
    "$@"
}
is() { [ "$1" = "$2" ] || { echo "\"$1\", not \"$2\"" && return 1; }; }
# behind SLOT: prints the PCI functions behind a bridge in this slot.
behind() { basename -a "/sys/bus/pci/devices/0000:00:$1.0/"0000:*:*.? | sort; }
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver" || echo none)"; }
drivers() { local f; for f in "$@"; do driver "$f"; done | paste -sd' '; }

mapfile -t card < <(behind 05)
mapfile -t old < <(behind 06)
mapfile -t slow < <(behind 07)
mapfile -t screen < <(behind 08)
gpu=${card[0]}
group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }
at_home() { is "$(drivers "${card[@]}")" "virtio-pci virtio-pci"; }
with_vfio() { is "$(drivers "${card[@]}")" "vfio-pci vfio-pci"; }
no_journal() { is "$(find /var/lib/virtualghost/gpu -name '*.json' 2>/dev/null)" ""; }
journal() { test -s "/var/lib/virtualghost/gpu/$gpu.json"; }
no_override() { is "$(cat "/sys/bus/pci/devices/$gpu/driver_override")" "(null)"; }

if [ -e /lab/second-boot ]; then
    modprobe vfio_pci
    check "after a reset the journal still exists" journal
    check "and every function has its own driver" at_home
    nothing() { is "$(vg ps 2>&1)" "no VM is running"; }
    check "the user's next start prints nothing about it" nothing
    root_nothing() { is "$(root ps 2>&1 | grep -v "^sudo:")" "no VM is running"; }
    check "root's next start neither" root_nothing
    check "which removes the journal" no_journal
    check "the GPU can be passed again" vg run --dry-run --display none --gpu "$gpu"
    finish
    exit
fi

show vg gpu list
refuses "without the driver a launch is refused, with the command that loads it" "sudo modprobe vfio-pci" \
    vg run --display none --gpu "$gpu"
modprobe vfio_pci
two_members() { vg gpu list --json | jq -e --arg gpu "$gpu" '.[] | select(.address == $gpu) | .eligible and (.groups[0].members | length == 2)'; }
check "gpu list: a card of two functions in a group of its own is eligible" two_members
show vg gpu list
dry_run() {
    vg run --dry-run --display none --gpu "$gpu" | tee $work/plan
    grep -q "echo $gpu > /sys/bus/pci/drivers/virtio-pci/unbind" $work/plan &&
        grep -q "vfio-pci,host=$gpu,bus=gpu-port,addr=0.0,multifunction=on" $work/plan &&
        grep -q "vfio-pci,host=${card[1]},bus=gpu-port,addr=0.1" $work/plan
}
check "run --dry-run shows every write, and both functions as one device" dry_run
show cat $work/plan
check "and changes nothing" at_home

little_memlock() { (ulimit -l 8192; vg run --display none --memory 768 --gpu "$gpu"); }
refuses "memlock too small: refused, with the figure" "8 MiB" little_memlock
check "before anything is unbound" at_home

check "root binds manually, without sudo" /lab/virtualghost gpu bind "$gpu"
check "both functions have vfio-pci" with_vfio
refuses "no permission: refused, with the udev rule" 'no permission for /dev/vfio/[0-9]+' vg run --display none --gpu "$gpu"
refuses "the user cannot release it" "root" vg gpu release
check "root releases it" /lab/virtualghost gpu release "$gpu"
check "both functions have their driver again" at_home
check "no driver override remains" no_override

show root gpu bind "$gpu"
not_swept() { vg ps && root ps && with_vfio; }
check "other commands do not release a GPU that was bound manually" not_swept
bound_plan() { vg run --dry-run --display none --gpu "$gpu" | tee $work/plan && ! grep -q 'as root' $work/plan; }
check "bound with sudo, the GPU is the user's: a launch needs no root" bound_plan
check "and the user releases it with sudo" root gpu release
check "to its driver" at_home

# The bridge has no ACS.
other=${old[1]}
interface=$(ls "/sys/bus/pci/devices/$other/virtio"*/net)
ip link set "$interface" up
show vg gpu list
refuses "a foreign endpoint whose interface is up: refused, forced or not" "$other.*$interface" \
    root gpu bind "${old[0]}" --force
ip link set "$interface" down
refuses "one that is idle: refused, and named" "$other" root gpu bind "${old[0]}"
check "unless forced" root gpu bind "${old[0]}" --force
all_bound() { is "$(drivers "${old[@]}")" "vfio-pci vfio-pci"; }
check "then the whole group is bound" all_bound
check "and released" root gpu release "${old[0]}"
all_back() { is "$(drivers "${old[@]}")" "virtio-pci virtio-pci"; }
check "as a whole again" all_back

# launch NAME [GPU]: starts a VM with the card or this GPU as the user; sudo is used only to bind it.
launch() {
    # Not `vg`: the process would be a shell around the launcher.
    "${as_user[@]}" /lab/virtualghost run --display none --vcpus 1 --memory 768 --name "$1" --gpu "${2-$gpu}" \
        >"$work/$1.log" 2>&1 </dev/null &
    launcher=$!
}
has_it() { pid=$(pgrep -f 'qemu-system-x86_64 -name' | head -1) && find "/proc/$pid/fd" -lname "/dev/vfio/$(group "$gpu")" | grep -q .; }
no_qemu() { ! pgrep -f 'qemu-system-x86_64 -name'; }
not_root() { is "$(ps -o user= -p "$pid")" user && is "$(ps -o user= -p $launcher)" user; }
released() { no_qemu && at_home && no_journal; }

launch killed
check "a launch binds the card and QEMU opens it" soon has_it
show cat $work/killed.log
check "neither QEMU nor the launcher is root" not_root
check "the journal is written" journal
kill -9 $launcher
check "SIGKILL of the launcher: QEMU ends and the card is returned" soon released

launch shot
check "a second launch" soon has_it
kill -9 "$pid"
wait $launcher
check "SIGKILL of QEMU: the launcher ends with status 3" is $? 3
check "and the card is returned" soon released

launch both
check "a third launch" soon has_it
pkill -9 -f 'virtualghost gpu keep'
kill -9 $launcher
check "SIGKILL of launcher and broker: QEMU ends" soon no_qemu
check "the card still has vfio-pci" with_vfio
hinted() { vg ps 2>&1 | grep "$gpu.*sudo virtualghost gpu release"; }
check "the user's next start prints how to release it" hinted
swept() { root ps 2>&1 | grep "$gpu"; }
check "root's next start releases it" soon swept
check "to its driver, without a journal" released

refuses "a disk in the card's slot is not part of the card" "${slow[1]}" \
    root gpu bind "${slow[0]}"
# A disk with requests that take a minute: its driver does not unbind before they are done.
disk=/dev/$(ls "/sys/bus/pci/devices/${slow[1]}/virtio"*/block)
for ((i = 0; i < 120; i++)); do dd if="$disk" of=/dev/null bs=4k count=1 skip=$((i * 16)) iflag=direct 2>/dev/null & done
sleep 2
refuses "an unbind that hangs fails at its time limit" "30 s" \
    root gpu bind "${slow[0]}" --force
show cat $work/output
no_reads() { ! pgrep -x dd; }
check "once the driver has unbound" soon no_reads
sleep 3
show root gpu release
slow_back() { is "$(drivers "${slow[@]}")" "virtio-pci virtio-pci"; }
check "gpu release returns all functions" slow_back

launch inner
check "a launch that keeps running" soon has_it
refuses "gpu release is refused while a VM uses it" "$gpu" root gpu release
bound_inside() {
    vg exec inner -- sh -c 'cd /sys/bus/virtio/drivers && ls -d virtio_gpu/virtio* virtio_snd/virtio* && ls /sys/class/drm' | tee $work/inside
    grep -q virtio_gpu $work/inside && grep -q virtio_snd $work/inside && grep -qx card0 $work/inside
}
check "in its VM both functions have their drivers, and there is a DRM card" soon bound_inside
show cat $work/inside
check "stop stops it" vg stop inner
check "the card has its driver again, and the journal is removed" soon released
wait $launcher
check "the launcher ends with status 0" is $? 0
show cat $work/inner.log

no_pack() { grep "$HOME/.local/share/virtualghost/gpu-pack.*make gpu-pack" $work/inner.log; }
check "without a GPU pack a launch prints that, and the fix" no_pack
data=$HOME/.local/share/virtualghost
cp -R /lab/gpu-pack "$data/gpu-pack"
chown -R user "$data/gpu-pack"
truncate -s -4096 "$data/gpu-pack/gpu-pack.img"
refuses "a truncated GPU pack: refused before anything is bound" "gpu-pack.img" \
    vg run --display none --gpu "${screen[0]}"
is_free() { is "$(driver "${screen[0]}")" none; }
check "and nothing is bound" is_free
cp /lab/gpu-pack/gpu-pack.img "$data/gpu-pack/"
refuses "a missing USB device: refused" "usb:1-2" \
    vg run --display none --gpu "${screen[0]}" --input usb:1-2
launch packed "${screen[0]}"
ready() { vg ps --json | jq -e '.[] | select(.name == "packed" and .state == "ready")'; }
check "with a GPU pack the terminal is on a GPU for which the guest's own kernel has no driver" soon ready
show cat $work/packed.log
driven() {
    vg exec packed -- sh -c 'cat /proc/modules /proc/mounts; readlink /sys/class/drm/card*/device/driver
        pgrep -a labwc; touch /run/virtualghost/gpu-pack/x' >$work/inside 2>&1
    grep -q '^bochs .* Live ' $work/inside && grep -q 'drivers/bochs-drm' $work/inside &&
        grep -q '/run/virtualghost/gpu-pack squashfs ro,' $work/inside && grep -q 'Read-only file system' $work/inside
}
check "its driver is a module that udev loaded from the read-only pack" driven
show cat $work/inside
# The part that works without a GPU: OpenGL with that LLVM, and OpenGL on Vulkan.
mesa() {
    vg exec packed -- sh -c 'export LIBGL_ALWAYS_SOFTWARE=1; realpath /usr/lib/*/libLLVM-mesa.so; eglinfo -B -p surfaceless
        MESA_LOADER_DRIVER_OVERRIDE=zink eglinfo -B -p surfaceless' >$work/mesa 2>&1
    grep -q '^/run/virtualghost/gpu-pack/debian-.*/libLLVM.so' $work/mesa &&
        grep -q 'core profile renderer: llvmpipe' $work/mesa && grep -q 'core profile renderer: zink Vulkan' $work/mesa
}
check "Mesa has the whole LLVM, and OpenGL on Vulkan, from the pack" mesa
show grep -E 'libLLVM|core profile (renderer|version)' $work/mesa
check "stop stops it too" vg stop packed
check "the GPU without a driver has none again" soon is_free
wait $launcher
check "this launcher ends with status 0" is $? 0
rm -r "$data/gpu-pack"

launch last
check "a launch before the reset" soon has_it
pkill -9 -f 'virtualghost gpu keep'
kill -9 $launcher
check "its journal is written" journal
touch /lab/second-boot
echo "$passed passed, $failed failed before the reset"
echo "the machine is reset with the journal left over"
sync
echo s >/proc/sysrq-trigger
sleep 2
echo b >/proc/sysrq-trigger
sleep 60
