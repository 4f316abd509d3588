# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# A cold boot to the first prompt under TCG, and a start from a checkpoint. A peer is the
# usual recipe: Debian's kernel and initrd, systemd with its defaults, logind, and a unit that starts the same compositor
# and terminal.

to_prompt() { start_vm bench --ephemeral "$@" && stop_vm bench; }
with_virgl() { to_prompt --gl on; }
in_software() { to_prompt --gl off --start boot; }
without_window() { to_prompt --display none --start boot; }
instant() { to_prompt --gl off --start instant; }
instant_without_window() { to_prompt --display none --start instant; }

# until_word WORD COMMAND...: runs COMMAND until it prints WORD, then kills it and its children; sets $took.
until_word() {
    local word=$1 start line said
    shift
    start=$(now)
    exec {said}< <(exec setsid "$@" 2>&1 </dev/null)
    local pid=$!
    : >"$work/said"
    while IFS= read -r line <&"$said"; do
        echo "$line" >>"$work/said"
        case $line in *"$word"*) break ;; esac
    done
    ms_since "$start"
    kill -KILL -- "-$pid" 2>/dev/null || true
    while [ -e "/proc/$pid" ]; do sleep 0.05; done
    exec {said}<&-
    [[ ${line:-} = *"$word"* ]] || die "$* did not print $word; its last lines: $(tail -n5 "$work/said")"
}

# bare_qemu WORD ARGUMENT...: runs the same QEMU with the same machine type until it prints WORD.
bare_qemu() {
    local word=$1 bundle
    shift
    bundle=$(assets)/qemu
    until_word "$word" env DISPLAY=":$display" QEMU_MODULE_DIR="$bundle/lib/qemu" "$bundle/bin/qemu-system-x86_64" -L "$bundle/share/qemu" \
        -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nodefaults -serial stdio -no-reboot "$@"
}
kernel_alone() { bare_qemu 'Unable to mount root' -display none -kernel "$(assets)/kernel/vmlinux" -append 'console=ttyS0 panic=-1'; }
recipe() {
    bare_qemu prompt-is-there -display "$1" -device "$2" -device virtio-keyboard-pci -device virtio-tablet-pci \
        -drive "if=virtio,format=raw,snapshot=on,file=$work/recipe/root.img" -kernel "$work/recipe/vmlinuz" \
        -initrd "$work/recipe/initrd.img" -append 'root=/dev/vda rw console=ttyS0'
}
recipe_virgl() { recipe gtk,gl=on virtio-gpu-gl-pci; }
recipe_software() { recipe gtk virtio-gpu-pci; }

# virtme-ng with the same kernel and the image's files as a folder. It has its own init instead of systemd, and root as
# its only user.
virtme_script='mkdir -p -m 700 /run/u
export SEATD_VTBOUND=0 XDG_RUNTIME_DIR=/run/u HOME=/root LANG=C.UTF-8 WLR_RENDERER_ALLOW_SOFTWARE=1
export PROMPT_COMMAND="echo prompt-is-there >/dev/ttyS0"
seatd &
while [ ! -S /run/seatd.sock ]; do sleep 0.05; done
exec cage -- foot bash -i'
virtme_ng() {
    local bundle
    bundle=$(assets)/qemu
    until_word prompt-is-there env DISPLAY=":$display" QEMU_MODULE_DIR="$bundle/lib/qemu" PATH="$work/vng/bin:$PATH" PYTHONPATH="$work/vng" \
        vng --run "$(assets)/kernel/vmlinux" --root "$work/root" --disable-kvm --disable-microvm --force-9p --verbose \
        --cpus 2 --memory 2G --qemu "$bundle/bin/qemu-system-x86_64" --exec "$virtme_script" \
        --qemu-opts="-nodefaults -L $bundle/share/qemu -display gtk,gl=on -device virtio-gpu-gl-pci -device virtio-keyboard-pci -device virtio-tablet-pci"
}

make_recipe() {
    local out=$1 root=$1/root apt_opts
    private_apt "$out/.apt" trixie
    mmdebstrap --quiet --mode=root --variant=apt --skip=chroot/mount --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=linux-image-amd64,initramfs-tools,login,passwd,systemd-sysv,libpam-systemd,dbus,udev,cage,foot,libgl1-mesa-dri,libegl1,libgles2,fonts-dejavu-core,xkb-data \
        trixie "$root" "$out/.apt/sources.list" >&2
    chroot "$root" useradd --create-home --shell /bin/bash --groups video,render,input,dialout user
    # As in Cage's own documentation.
    cat >"$root/etc/systemd/system/cage.service" <<'END'
[Unit]
After=systemd-user-sessions.service dbus.socket systemd-logind.service
Conflicts=getty@tty1.service
[Service]
User=user
PAMName=login
TTYPath=/dev/tty1
StandardInput=tty
TTYReset=yes
TTYVHangup=yes
Environment=WLR_RENDERER_ALLOW_SOFTWARE=1
ExecStart=/usr/bin/cage -- /usr/bin/foot
[Install]
WantedBy=graphical.target
END
    mkdir -p "$root/etc/systemd/system/graphical.target.wants"
    ln -s ../cage.service "$root/etc/systemd/system/graphical.target.wants/"
    ln -sf /usr/lib/systemd/system/graphical.target "$root/etc/systemd/system/default.target"
    echo "PROMPT_COMMAND='echo prompt-is-there >/dev/ttyS0'" >>"$root/etc/bash.bashrc"
    cp -L "$root"/boot/vmlinuz-* "$out/vmlinuz"
    cp -L "$root"/boot/initrd.img-* "$out/initrd.img"
    mkfs.ext4 -q -d "$root" "$out/root.img" 4G
    rm -rf "$root" "$out/.apt"
    echo '{}' >"$out/manifest.json"
}

unpack
cached bench-recipe "$(inputs_key "$REPO/scripts/bench/boot.sh")" "$work/recipe" make_recipe
head_of_table "cold boot under TCG"
compare "to the prompt, virgl" "at most 8 s; at most 0.4" with_virgl "the recipe" recipe_virgl
if fetch_vng && [ "$(jq -r .terminal "$REPO/assets/build/rootfs/manifest.json")" = foot ]; then
    image_as_folder "$work/root"
    compare "to the prompt, virgl" "no slower" with_virgl "virtme-ng, the same kernel and image" virtme_ng
fi
compare "to the prompt, software rendering" "" in_software "the recipe" recipe_software
compare "to SSH, no window" "" without_window "the kernel alone, to its panic" kernel_alone
vg_env=(DISPLAY=":$display")
vg checkpoint --accel tcg --ephemeral --gl off >&2
vg checkpoint --accel tcg --ephemeral --display none >&2
vg_env=()
compare "instant start to the prompt" "at most 1.0 s" instant "the same VM, booted" in_software
compare "instant start to SSH, no window" "" instant_without_window "the same VM, booted" without_window
