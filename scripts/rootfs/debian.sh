# shellcheck shell=bash
# The debian flavour: Debian's packages, unpacked and configured by mmdebstrap. Needs no container engine.
# Sourced by build-rootfs.sh (for `bootstrap_inputs`) and by make.sh (for the rest).
DEB_ARCH=$(deb_arch "$ARCH")
# shellcheck source=scripts/rootfs/llvm.sh
. "$REPO/scripts/rootfs/llvm.sh"

# What a terminal needs that runs in a machine of its own, and what its user expects there.
debian_packages=(
    systemd systemd-sysv udev               # init, devices
    dbus dbus-daemon                        # the system's and the session's bus, which start when they are first asked
    libnss-myhostname                       # the VM's name resolves, whatever it is
    seatd labwc wlr-randr                   # the screen: seat, compositor, the tool that resizes it
    libgl1 libegl1 libgles2 libgl1-mesa-dri # Mesa: virgl and llvmpipe
    fontconfig fonts-dejavu-core fonts-noto-color-emoji fonts-powerline
    fonts-wqy-microhei fonts-noto-core      # Chinese, Japanese, Korean; the scripts in fonts.sh
    xkb-data
    ncurses-term kitty-terminfo             # the terminals that people come from
    xwayland                                # X11 programs
    bash bash-completion sudo passwd procps less nano
    tzdata tzdata-legacy                    # time zones, also by the names that hosts still have (US/Pacific, Asia/Calcutta)
    mount                                   # mount, umount: the home disk; losetup
    apt ca-certificates curl iproute2 iputils-ping
    e2fsprogs                               # mkfs.ext4, which also packs this image; the home disk's tools
    rsync                                   # the other end of a copy from the host
    mesa-utils                              # glxinfo: what renders here?
    foot foot-terminfo                      # the terminal where Ghostty is not there or does not run
)

# debian_apt: a private apt for SUITE in the build cache, so that downloads serve every later build. It is this process's
# until descriptor 8 is closed. The lists are read once a process.
debian_apt() {
    local suites=("$SUITE" "$SUITE-updates" "$SUITE-security")
    [ "$SUITE" != sid ] || suites=(sid) # has nothing beside it
    apt_dir=$(build_cache_path)/apt/$SUITE-$DEB_ARCH
    mkdir -p "$apt_dir"
    exec 8>"$apt_dir.lock"
    flock 8
    [ -z "${apt_opts[*]-}" ] || return 0
    private_apt "$apt_dir" "${suites[@]}"
    # The suite's own Ghostty, unless one is handed in.
    # shellcheck disable=SC2154 # apt_opts comes from private_apt
    if [ -z "${GHOSTTY:-}" ] && apt-cache "${apt_opts[@]}" policy ghostty | grep -q '^ *Candidate: [^(]'; then
        debian_packages+=(ghostty)
    fi
}

# bootstrap_inputs: every package version that would be installed now, for the build cache's key.
bootstrap_inputs() ( # in a subshell, whose end gives the lock back
    debian_apt
    apt-get "${apt_opts[@]}" -s install '?essential' "${debian_packages[@]}" |
        sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort
)

# bootstrap ROOT: fills the empty folder. mmdebstrap mounts nothing; the archive's packages are kept in the
# build cache, so a second build downloads nothing.
bootstrap() {
    local root=$1 include
    debian_apt
    include=$(IFS=,; printf '%s' "${debian_packages[*]}")
    # mmdebstrap names one of its descriptors to sh, which knows only those of one digit: so it inherits none.
    # shellcheck disable=SC2016 # $1 is for the hook's own shell
    mmdebstrap --quiet --mode=root --variant=apt --format=directory --architectures="$DEB_ARCH" --include="$include" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --skip=chroot/mount,essential/unlink \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="cp -n '$apt_dir'/cache/archives/*.deb \"\$1/var/cache/apt/archives/\" 2>/dev/null || true" \
        --customize-hook="cp -n \"\$1\"/var/cache/apt/archives/*.deb '$apt_dir/cache/archives/'" \
        "$SUITE" "$root" "$apt_dir/sources.list" >&2 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    exec 8>&-
    # The lines that every Debian has, in place of the mirror that this build read from.
    rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
    cp "$root/usr/share/doc/apt/examples/debian.sources" "$root/etc/apt/sources.list.d/"
    # Sid's own example is of the last release.
    [ "$SUITE" != sid ] || sed -i '/^## Debian security/,$d; s/^Suites: .*/Suites: sid/' "$root/etc/apt/sources.list.d/debian.sources"
}

# finish_packages ROOT: after the last package. apt takes Debian's own Mesa again, with the whole LLVM, when it installs
# something that depends on it, as Ghostty does.
finish_packages() {
    debian_apt
    trim_llvm "$1"
    exec 8>&-
}

# suite: what the manifest says.
suite() { echo "$SUITE"; }

# installed_packages ROOT: name, version and licence of each. Debian's copyright files are prose, so no licence is claimed.
installed_packages() {
    dpkg-query --root="$1" -W -f '${Package}\t${Version}\tNOASSERTION\n' | sort
}

# terminal ROOT: the terminal that the session starts.
terminal() {
    if [ -x "$1/usr/bin/ghostty" ]; then echo ghostty; else echo foot; fi
}
