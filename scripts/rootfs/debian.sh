# shellcheck shell=bash
# The debian flavour: Debian's packages, unpacked and configured by mmdebstrap. Needs no container engine.
# Sourced by build-rootfs.sh (for `bootstrap_inputs`) and by make.sh (for the rest).
SUITE=trixie
DEB_ARCH=$(deb_arch "$ARCH")
# shellcheck source=scripts/rootfs/llvm.sh
. "$REPO/scripts/rootfs/llvm.sh"

# What a terminal needs that runs in a machine of its own, and what its user expects there.
debian_packages=(
    systemd systemd-sysv udev dbus          # init, devices; the system bus starts when it is first asked
    libnss-myhostname                       # the VM's name resolves, whatever it is
    seatd cage wlr-randr                    # the screen: seat, compositor, the tool that resizes it
    libgl1 libegl1 libgles2 libgl1-mesa-dri # Mesa: virgl and llvmpipe
    fontconfig fonts-dejavu-core fonts-noto-color-emoji fonts-powerline
    xkb-data ncurses-term
    bash bash-completion sudo passwd tzdata procps less nano
    apt ca-certificates curl iproute2 iputils-ping
    e2fsprogs                               # mkfs.ext4, which also packs this image; the home disk's tools
    rsync                                   # the other end of a copy from the host
    mesa-utils                              # glxinfo: what renders here?
)

# debian_apt: a private apt for SUITE in the build cache, so that downloads serve every later build.
debian_apt() {
    apt_dir=$(build_cache_path)/apt/$SUITE-$DEB_ARCH
    mkdir -p "$apt_dir"
    exec 8>"$apt_dir.lock"
    flock 8
    private_apt "$apt_dir" "$SUITE" "$SUITE-updates" "$SUITE-security"
    local ghostty
    # shellcheck disable=SC2154 # apt_opts comes from private_apt
    ghostty=$(apt-cache "${apt_opts[@]}" policy ghostty | sed -n 's/^ *Candidate: //p')
    case $ghostty in
    '' | '(none)') debian_terminal=(foot foot-terminfo) ;;
    *) debian_terminal=(ghostty) ;;
    esac
}

# bootstrap_inputs: every package version that would be installed now, for the build cache's key.
bootstrap_inputs() ( # in a subshell, whose end gives the lock back
    debian_apt
    apt-get "${apt_opts[@]}" -s install '?essential' "${debian_packages[@]}" "${debian_terminal[@]}" |
        sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort
)

# bootstrap ROOT: fills the empty folder. mmdebstrap mounts nothing; the archive's packages are kept in the
# build cache, so a second build downloads nothing.
bootstrap() {
    local root=$1 include
    debian_apt
    include=$(IFS=,; printf '%s' "${debian_packages[*]},${debian_terminal[*]}")
    # mmdebstrap names one of its descriptors to sh, which knows only those of one digit: so it inherits none.
    # shellcheck disable=SC2016 # $1 is for the hook's own shell
    mmdebstrap --quiet --mode=root --variant=apt --format=directory --architectures="$DEB_ARCH" --include="$include" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
        --skip=chroot/mount,essential/unlink \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="cp -n '$apt_dir'/cache/archives/*.deb \"\$1/var/cache/apt/archives/\" 2>/dev/null || true" \
        --customize-hook="cp -n \"\$1\"/var/cache/apt/archives/*.deb '$apt_dir/cache/archives/'" \
        "$SUITE" "$root" "$apt_dir/sources.list" >&2 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    trim_llvm "$root"
    exec 8>&-
    # The lines that every Debian has, in place of the mirror that this build read from.
    rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
    cp "$root/usr/share/doc/apt/examples/debian.sources" "$root/etc/apt/sources.list.d/"
}

# installed_packages ROOT: name, version and licence of each. Debian's copyright files are prose, so no licence is claimed.
installed_packages() {
    dpkg-query --root="$1" -W -f '${Package}\t${Version}\tNOASSERTION\n' | sort
}

# terminal ROOT: the terminal that the session starts.
terminal() {
    if [ -x "$1/usr/bin/ghostty" ]; then echo ghostty; else echo foot; fi
}
