# shellcheck shell=bash
# What makes a distribution the guest: the overlay of assets/guest, the user, the terminal. Sourced by make.sh.

# shellcheck source=scripts/rootfs/fonts.sh
. "$REPO/scripts/rootfs/fonts.sh"

# configure ROOT TERMINAL
configure() {
    local root=$1 terminal=$2 terminals=$1/usr/lib/virtualghost/terminals group groups=()

    # Git keeps only the x bit and no owner, so both are given here.
    tar -C "$REPO/assets/guest" --owner=0 --group=0 --mode='u=rwX,go=rX' -cf - . | tar -C "$root" --keep-directory-symlink -xf -
    chmod 440 "$root/etc/sudoers.d/ghost"

    install -m755 "$AGENT" "$root/usr/lib/virtualghost/ghostly-agent"
    chroot "$root" /usr/lib/virtualghost/ghostly-agent --version >/dev/null ||
        die "ghostly-agent does not run in the guest (scripts/build-agent.sh says with which C library it is linked)"

    [ -x "$terminals/$terminal" ] || die "no start script for the terminal $terminal in assets/guest/usr/lib/virtualghost/terminals"
    ln -s "terminals/$terminal" "$root/usr/lib/virtualghost/terminal"

    # A group of the system, who may write to the host: udev gives no device to a user who is none of the system's.
    chroot "$root" groupadd --system virtualghost
    # Not every distribution has every group.
    for group in virtualghost video render input systemd-journal; do
        if grep -q "^$group:" "$root/etc/group"; then groups+=("$group"); fi
    done
    chroot "$root" useradd --uid 1000 --user-group --create-home --shell /bin/bash \
        --groups "$(IFS=,; printf '%s' "${groups[*]}")" ghost
    # Passwords are locked for everyone (sudo asks for none); without a date of change none is ever out of date.
    sed -i -E 's/^([^:]+):[^:]*:[^:]*:/\1:*:::/; s/^([^:]+:\*):::.*/\1:::::::/' "$root/etc/shadow"

    # The shell's report of its first prompt.
    printf '\n%s\n' '. /usr/lib/virtualghost/bashrc' >>"$root/etc/bash.bashrc"

    # An empty machine-id is no first boot: systemd makes one up for each run and asks nothing.
    : >"$root/etc/machine-id"
    rm -f "$root/var/lib/dbus/machine-id"
    ln -sf virtualghost.target "$root/etc/systemd/system/default.target"

    # Ghostty's own name for its terminal; some versions of ncurses have it without the prefix only.
    if [ ! -e "$root/usr/share/terminfo/x/xterm-ghostty" ]; then
        printf 'xterm-ghostty|Ghostty,\n\tTc, Su, use=ghostty,\n' | chroot "$root" tic -x -o /usr/share/terminfo -
    fi

    trim_fonts "$root"
    # Every time stamp is the same from here on: what the font cache records must be what the image holds.
    stamp "$root"
    chroot "$root" fc-cache --system-only --really-force
    stamp "$root"
}

# stamp ROOT: one time for all files; those of the packages differ between builds for some.
stamp() { find "$1" -xdev -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"; }
