# shellcheck shell=bash
# The arch flavour: Arch Linux's packages, with Ghostty among them. Needs pacman and Arch's keyring, as in Arch's
# container image. Sourced by build-rootfs.sh (for `bootstrap_inputs`) and by make.sh (for the rest).
#   ARCH_MIRROR     where the repositories are, without /$repo/os/$arch; else pacman's own mirror list
#   PACMAN_KEYRING  whose signatures count; else the machine's own (see pacman-key)
[ "$ARCH" = x86_64 ] || die "Arch Linux is for x86_64; build the other flavour: FLAVOUR=debian"
[ "$SUITE" != sid ] || die "SUITE= is for FLAVOUR=debian; Arch Linux has no suites"

# suite: what the manifest says.
suite() { echo rolling; }

# What a terminal needs that runs in a machine of its own, and what its user expects there. By name instead of by
# the group `base`, which brings firmware tools and documentation along.
arch_packages=(
    filesystem systemd systemd-sysvcompat dbus  # init, devices, the system bus
    seatd labwc wlr-randr                       # the screen: seat, compositor, the tool that resizes it
    mesa libglvnd                               # virgl and llvmpipe
    ghostty ghostty-terminfo adwaita-icon-theme librsvg          # the terminal, the icons of its menus and their loader
    foot foot-terminfo                          # the terminal where Ghostty does not run
    kitty-terminfo                              # the terminals that people come from; ncurses has most
    xorg-xwayland                               # X11 programs
    fontconfig ttf-dejavu noto-fonts-emoji
    wqy-microhei noto-fonts                     # Chinese, Japanese, Korean; the scripts in fonts.sh
    xkeyboard-config
    bash bash-completion sudo shadow tzdata procps-ng less nano which
    coreutils findutils grep sed gawk diffutils file tar gzip xz zstd util-linux
    pacman pacman-mirrorlist archlinux-keyring  # `sudo pacman -Syu` works in the VM
    ca-certificates curl iproute2 iputils
    e2fsprogs                                   # mkfs.ext4, which also packs this image; the home disk's tools
    rsync                                       # the other end of a copy from the host
    mesa-utils                                  # eglinfo, glxinfo: what renders here?
)

# arch_pacman DB ARG…: pacman with our own configuration, packages kept in the build cache, names looked up in DB.
# It sets no DownloadUser, so pacman 7 needs no sandbox, and no CheckSpace, which would ask for mounts.
arch_pacman() {
    local db=$1 dir
    shift
    dir=$(build_cache_path)/pacman
    mkdir -p "$dir/packages" "$db"
    cat >"$dir/pacman.conf" <<-END
	[options]
	Architecture = x86_64
	SigLevel = Required DatabaseOptional
	GPGDir = ${PACMAN_KEYRING:-/etc/pacman.d/gnupg}
	CacheDir = $dir/packages
	LogFile = $dir/pacman.log
	ParallelDownloads = 5
	[core]
	Include = $dir/mirrorlist
	[extra]
	Include = $dir/mirrorlist
	END
    arch_mirrorlist >"$dir/mirrorlist"
    as_root pacman --config "$dir/pacman.conf" --dbpath "$db" --noconfirm --noprogressbar "$@"
}

arch_mirrorlist() {
    if [ -n "${ARCH_MIRROR:-}" ]; then
        # shellcheck disable=SC2016 # pacman's own variables
        printf 'Server = %s/$repo/os/$arch\n' "${ARCH_MIRROR%/}"
    elif grep -q '^ *Server' /etc/pacman.d/mirrorlist 2>/dev/null; then
        cat /etc/pacman.d/mirrorlist
    else
        die "no mirror of Arch Linux is known here; say ARCH_MIRROR=URL, or build the other flavour: FLAVOUR=debian"
    fi
}

# bootstrap_inputs: every package version that would be installed now, for the build cache's key.
bootstrap_inputs() {
    local db
    command -v pacman >/dev/null || die "the arch flavour needs pacman: make docker-build, or FLAVOUR=debian"
    db=$(build_cache_path)/pacman/db
    mkdir -p "$db"
    exec 8>"$db.lock"
    flock 8
    arch_sync "$db"
    arch_pacman "$db" -Sp --print-format '%n %v' "${arch_packages[@]}" | sort || die "pacman can't resolve the package list"
    exec 8>&-
}

# arch_sync DB: what the repositories hold now.
arch_sync() {
    arch_pacman "$1" -Sy >&2 ||
        die "pacman can't read the repositories; say ARCH_MIRROR=URL for another mirror, or build the other flavour: FLAVOUR=debian"
}

# bootstrap ROOT: fills the empty folder. Nothing is mounted: hooks and scriptlets of packages run in ROOT without
# /proc, and those that miss it (systemd-tmpfiles, daemon-reload) have nothing to do before the first boot anyway.
bootstrap() {
    local root=$1 db=$1/var/lib/pacman name
    mkdir -p "$db" "$root/dev"
    mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || true # scripts write there; in a user namespace it becomes a file
    arch_sync "$db"
    arch_pacman "$db" --root "$root" -S "${arch_packages[@]}" >&2 || die "pacman could not fill the root; its message is above"
    # The users of services: with /proc, which this machine has and ROOT lacks, so that none is missing.
    if command -v systemd-sysusers >/dev/null; then systemd-sysusers --root="$root" >&2; fi

    # For `sudo pacman -Syu` in the VM: the same mirrors and the same keys, but not the secret one that signed them.
    install -Dm644 "$(build_cache_path)/pacman/mirrorlist" "$root/etc/pacman.d/mirrorlist"
    for name in pubring.gpg pubring.kbx trustdb.gpg gpg.conf; do
        if [ -f "${PACMAN_KEYRING:-/etc/pacman.d/gnupg}/$name" ]; then
            install -Dm644 "${PACMAN_KEYRING:-/etc/pacman.d/gnupg}/$name" "$root/etc/pacman.d/gnupg/$name"
        fi
    done
    # When each package was installed differs from build to build.
    sed -i "/^%INSTALLDATE%$/{n;s/.*/$SOURCE_DATE_EPOCH/}" "$db"/local/*/desc
}

# installed_packages ROOT: name, version and licence of each. Most of Arch's licences are SPDX expressions; for the
# others (GPL2, custom, references to texts of their own) nothing is claimed.
installed_packages() {
    awk '
        function is_spdx(expression, ids, n, i) {
            n = split(expression, ids, / (AND|OR|WITH) |[()]+/)
            for (i = 1; i <= n; i++)
                if (ids[i] != "" && (ids[i] ~ /^LicenseRef/ || ids[i] !~ /^[A-Za-z0-9.+]+(-[A-Za-z0-9.+]+)+$|^(0BSD|FTL|HPND|IJG|ISC|MIT|X11|Zlib|curl)$/))
                    return 0
            return expression != ""
        }
        function flush() {
            if (name != "") printf "%s\t%s\t%s\n", name, version, (is_spdx(licence) ? licence : "NOASSERTION")
            name = version = licence = ""
        }
        FNR == 1 { flush() }
        /^%.*%$/ { field = $0; next }
        $0 == "" { next }
        field == "%NAME%" { name = $0 }
        field == "%VERSION%" { version = $0 }
        field == "%LICENSE%" { licence = licence (licence == "" ? "" : " AND ") (/ OR / ? "(" $0 ")" : $0) }
        END { flush() }
    ' "$1"/var/lib/pacman/local/*/desc | sort
}

# terminal ROOT: the terminal that the session starts.
terminal() { echo ghostty; }
