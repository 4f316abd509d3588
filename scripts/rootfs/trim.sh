# shellcheck shell=bash
# Takes out what a terminal's machine never needs. Each thing says why it may go. Sourced by make.sh.
# The package database and every copyright file stay: packages can be installed and removed in the running VM.

# The units that are masked: they would run at every boot of a machine that lives for one terminal.
masked_units=(
    # No consoles to log in on: the terminal is the only one, and root has no password.
    getty.target getty@tty1.service getty-static.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service console-getty.service
    # Users aren't logged in or out by PAM sessions here.
    systemd-user-sessions.service
    # Password prompts for disks that aren't there.
    systemd-ask-password-console.path systemd-ask-password-wall.path
    # Upkeep over weeks, of a system that is thrown away after hours.
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    systemd-tmpfiles-clean.timer man-db.timer shadow.timer archlinux-keyring-wkd-sync.timer
    # Everything that is done once after an installation was done when the image was built.
    ldconfig.service systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service
    systemd-machine-id-commit.service systemd-sysusers.service systemd-update-done.service systemd-update-utmp.service
    systemd-boot-random-seed.service systemd-boot-update.service systemd-repart.service
    # Carried over from one boot to the next; here nothing is.
    systemd-random-seed.service systemd-journal-flush.service systemd-pstore.service systemd-backlight@.service
    systemd-rfkill.service systemd-rfkill.socket systemd-hibernate-clear.service
    # The kernel has its drivers built in and no binary formats to register.
    systemd-modules-load.service kmod-static-nodes.service modprobe@.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    proc-sys-fs-binfmt_misc.mount
    # Device nodes are the kernel's, their permissions udev's, whose rules come with the image.
    systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service systemd-udev-load-credentials.service
    # Measured boot, without a TPM.
    systemd-pcrmachine.service systemd-pcrphase-sysinit.service systemd-pcrphase.service systemd-pcrphase-initrd.service
    systemd-pcrextend.socket systemd-pcrlock.socket systemd-tpm2-setup.service systemd-tpm2-setup-early.service
    # Services that sockets start which nobody connects to.
    systemd-creds.socket systemd-sysext.socket systemd-hostnamed.socket systemd-initctl.socket systemd-logind-varlink.socket
    systemd-factory-reset.socket systemd-journalctl.socket systemd-mute-console.socket systemd-sysinstall.socket
    # Kernel file systems for debugging and tuning; mount one by hand when it is wanted.
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount
    sys-fs-fuse-connections.mount run-lock.mount
    # /tmp stays on the disk, which is thrown away too and larger than the memory.
    tmp.mount
    # The root file system is mounted read-write by the kernel, without fsck: every run starts from the same image.
    systemd-remount-fs.service
    # The network has its fixed addresses from virtualghost-network.service.
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-network-generator.service
    systemd-timesyncd.service
)

# Generators run before everything else at every boot, and none has anything to generate here.
masked_generators=(
    systemd-debug-generator systemd-fstab-generator systemd-getty-generator systemd-gpt-auto-generator
    systemd-hibernate-resume-generator systemd-rc-local-generator systemd-run-generator systemd-ssh-generator
    systemd-system-update-generator systemd-sysv-generator systemd-tpm2-generator systemd-cryptsetup-generator
    systemd-veritysetup-generator systemd-integritysetup-generator systemd-bless-boot-generator
    systemd-import-generator
)

trimmed_files=(
    # Documentation: a man-db isn't installed. Copyright files are kept, see below.
    usr/share/man usr/share/info usr/share/doc-base usr/share/lintian usr/share/gtk-doc usr/share/bug
    # Translations: the guest speaks C.UTF-8.
    'usr/share/locale/*' usr/share/i18n
    # GTK's emoji chooser in other languages, each a list of its own. English is in the library.
    usr/share/gtk-4.0/emoji
    # GTK's two animated cursors, for windows that are busy: 4.6 MB each. The compositor's own is shown instead.
    usr/share/icons/Adwaita/cursors/{wait,progress}
    # The catalogue of explanations for journalctl -x.
    usr/lib/systemd/catalog var/lib/systemd/catalog
    # What hardware of all vendors is called; the VM has virtio devices. Rules that look things up in it go as well.
    usr/lib/udev/hwdb.bin usr/lib/udev/hwdb.d etc/udev/hwdb.bin
    usr/lib/udev/rules.d/{60-autosuspend,60-evdev,60-sensor,70-camera,70-joystick,70-mouse,70-touchpad}.rules
    # Rules for hardware that a VM doesn't have: drawing tablets, tapes, flash chips, fido keys, optical and other drives.
    usr/share/libwacom usr/lib/udev/rules.d/65-libwacom.rules
    usr/lib/udev/rules.d/{60-cdrom_id,60-fido-id,60-infiniband,60-persistent-storage-mtd,60-persistent-storage-tape}.rules
    usr/lib/udev/rules.d/{60-persistent-v4l,64-btrfs,75-probe_mtd,81-net-dhcp,90-iocost,96-e2scrub}.rules
    # The network card keeps the kernel's name, eth0: there is one.
    usr/lib/udev/rules.d/{73-special-net-names,80-net-setup-link}.rules
    # Modules and initrd: the kernel comes from outside and needs neither.
    'usr/lib/modules/*' 'boot/*' usr/share/initramfs-tools etc/initramfs-tools usr/lib/initcpio
    # The system bus starts when somebody first talks to its socket, and logind when the bus is asked for it (loginctl); a
    # terminal may never need them.
    usr/lib/systemd/system/multi-user.target.wants/{dbus,systemd-logind}.service
    # Pictures for demonstrations that show textures; glxinfo and the gears need none.
    usr/share/mesa-demos
    # Start scripts of an init system that isn't used.
    etc/init.d 'etc/rc?.d'
    # Caches and logs, which also differ from build to build.
    'var/cache/apt/*' 'var/cache/debconf/*-old' 'var/cache/ldconfig/*' 'var/cache/pacman/pkg/*' 'var/lib/apt/lists/*'
    'var/lib/pacman/sync/*' 'var/log/*' 'var/lib/dpkg/*-old' 'etc/*-' etc/.pwd.lock
    etc/apt/apt.conf.d/99mmdebstrap var/lib/systemd/random-seed 'tmp/*' 'run/*' 'dev/*'
    'usr/lib/python3*/__pycache__'
)

# trim ROOT
trim() {
    local root=$1 name pattern
    for name in "${masked_units[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$name"; done
    mkdir -p "$root/etc/systemd/system-generators"
    for name in "${masked_generators[@]}"; do ln -sf /dev/null "$root/etc/systemd/system-generators/$name"; done
    for pattern in "${trimmed_files[@]}"; do
        # shellcheck disable=SC2086 # a pattern is meant to be expanded
        (cd "$root" && rm -rf $pattern)
    done
    # Of the documentation, the licences.
    find "$root/usr/share/doc" -mindepth 1 -type f ! -name copyright -delete
    find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
}
