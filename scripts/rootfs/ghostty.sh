# shellcheck shell=bash
# A Ghostty that is no package of the suite, for the debian flavour: a .deb, or a .tar.gz with a usr/ tree, and the
# library packages that its ELF files ask for. Sourced after debian.sh, whose private apt it uses.
# Usage: install_ghostty ROOT FILE
#        GHOSTTY_PACKAGES='NAME…' names packages for libraries whose package can't be told from their soname.
# shellcheck disable=SC2154 # apt_opts: set by private_apt

# What no ELF file shows, because it is opened at run time.
ghostty_data_packages=(
    libegl1 libgl1 libgl1-mesa-dri # GTK opens GL and EGL through libepoxy
    adwaita-icon-theme             # the icons of GTK's own widgets
    librsvg2-common                # gdk-pixbuf's loader for those icons: they are SVG
    dconf-gsettings-backend        # settings; without one GTK warns at every start
    fontconfig fonts-dejavu-core   # something to draw with beside the font inside Ghostty
)

# install_ghostty ROOT FILE: makes FILE's Ghostty the terminal of ROOT, or ends with what is wrong with FILE.
# Nothing is mounted. Leaves ROOT/usr/share/virtualghost/terminal.json: what it is and where it came from.
install_ghostty() (
    root=$1 file=$2
    [ -f "$file" ] || die "no such file: $file (GHOSTTY= takes a .deb or a .tar.gz)"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/tree"
    ghostty_unpack "$file" "$work"
    ghostty_install "$root" "$file" "$work"
    ghostty_record "$root" "$file" "$work"
)

# ghostty_unpack FILE WORK: WORK/tree gets FILE's files and WORK/ghostty.deb a package of them.
ghostty_unpack() {
    local file=$1 work=$2 unpack bad
    # What it is says its content; a name can lie.
    case $(file --brief --mime-type "$file") in
    *debian.binary-package) unpack=(dpkg-deb --fsys-tarfile "$file") ;;
    application/gzip) unpack=(gzip -dc "$file") ;;
    *) unpack=(false) ;;
    esac
    "${unpack[@]}" 2>/dev/null | tar -t >"$work/members" 2>/dev/null ||
        die "$file is neither a Debian package nor a gzipped tar archive; GHOSTTY= takes a .deb or a .tar.gz with a usr/ tree"
    bad=$(grep -m1 -E '^/|(^|/)\.\.(/|$)' "$work/members" || true)
    [ -z "$bad" ] || die "$file would write outside the image: $bad"
    grep -qxE '(\./)?usr/bin/ghostty' "$work/members" ||
        die "$file holds no usr/bin/ghostty; its files must lie below usr/ as they would on a system"
    "${unpack[@]}" | tar -x --no-same-owner -C "$work/tree" || die "$file could not be unpacked"
    ghostty_check_architecture "$file" "$work/tree"

    if [ "${unpack[0]}" = dpkg-deb ]; then cp "$file" "$work/ghostty.deb"; else ghostty_wrap "$file" "$work"; fi
}

# ghostty_check_architecture FILE TREE: of the package and of its program.
ghostty_check_architecture() {
    local machine
    machine=$(dpkg-deb -f "$1" Architecture 2>/dev/null) || true # an archive has none
    case $machine in
    '' | all | "$DEB_ARCH") ;;
    *) die "$1 is for $machine; the image is for $DEB_ARCH" ;;
    esac
    machine=$(readelf -h "$2/usr/bin/ghostty" 2>/dev/null | sed -n 's/^ *Machine: *//p') || true # a script has none
    case ${machine:-script}.$ARCH in
    script.* | *X86-64.x86_64 | AArch64.aarch64) ;;
    *) die "$1 is for another architecture ($machine); the image is for $ARCH" ;;
    esac
}

# ghostty_wrap FILE WORK: makes a package of the unpacked archive, so that dpkg knows its files and runs the triggers
# of the packages they belong to (settings schemas, icon caches, ldconfig).
ghostty_wrap() {
    local file=$1 work=$2
    mkdir -p "$work/package/DEBIAN"
    mv "$work/tree/usr" "$work/package/usr"
    cat >"$work/package/DEBIAN/control" <<-END
	Package: ghostty
	Version: 0+sha256.$(sha256sum "$file" | cut -c1-12)
	Architecture: $DEB_ARCH
	Maintainer: handed in <root@localhost>
	Description: Ghostty, from an archive handed in
	END
    if [ ! -f "$work/package/usr/share/doc/ghostty/copyright" ]; then
        mkdir -p "$work/package/usr/share/doc/ghostty"
        echo "${file##*/} came without a licence. Ghostty's own is the MIT licence: https://ghostty.org" \
            >"$work/package/usr/share/doc/ghostty/copyright"
    fi
    dpkg-deb --root-owner-group -Znone --build "$work/package" "$work/ghostty.deb" >/dev/null
    rm -rf "$work/tree"
    mv "$work/package" "$work/tree"
}

# ghostty_install ROOT FILE WORK: first what it needs, then the package itself: so the files that it shares with any
# package are known. apt follows the dependencies, so one package often brings several of the libraries: three rounds
# are more than were ever needed.
ghostty_install() {
    local root=$1 file=$2 work=$3 depends missing packages
    debian_apt
    depends=$(dpkg-deb -f "$work/ghostty.deb" Pre-Depends Depends | sed -z -E 's/(^|\n)(Pre-)?Depends: */, /g; s/^, //; s/\n//g')
    if [ -n "$depends" ]; then
        ghostty_apt "$root" "$work" satisfy -y "$depends" ||
            die "$file is not for $SUITE: it depends on what $SUITE does not have (see above)"
    fi
    read -ra packages <<<"${GHOSTTY_PACKAGES:-}"
    packages+=("${ghostty_data_packages[@]}")
    for _ in 1 2 3; do
        mapfile -t missing < <(ghostty_missing "$root" "$work/tree")
        ((${#missing[@]} == 0)) || say "ghostty needs these libraries, which the image lacks: ${missing[*]}"
        mapfile -t -O "${#packages[@]}" packages < <(packages_of_sonames "${missing[@]}")
        ((${#packages[@]})) || break
        ghostty_apt "$root" "$work" install -y "${packages[@]}" ||
            die "apt could not install what $file needs from $SUITE: ${packages[*]}"
        packages=()
    done
    mapfile -t missing < <(ghostty_missing "$root" "$work/tree")
    ((${#missing[@]} == 0)) ||
        die "no package of $SUITE is known to hold ${missing[*]}, which $file needs; say GHOSTTY_PACKAGES='NAME…' if you know it"
    ghostty_divert "$root" "$work/tree"
    ghostty_apt "$root" "$work" install -y "$work/ghostty.deb" || die "apt could not install $file"
}

# ghostty_divert ROOT TREE: where another package has a file of the same name, Ghostty's is used, and dpkg knows: that
# package's, and those of its later versions, lie beside it as NAME.distrib.
ghostty_divert() {
    local root=$1 path
    while read -r path; do
        say "Ghostty's $path takes the place of $(dpkg-query --root="$root" -S "$path" | sed 's/: .*//;q')'s, which is now $path.distrib"
        dpkg-divert --root="$root" --quiet --package ghostty --add --rename --divert "$path.distrib" "$path"
    done < <(comm -12 <(cd "$2" && find usr ! -type d -printf '/%p\n' | sort) \
        <(find "$root/var/lib/dpkg/info" -name '*.list' ! -name ghostty.list -exec cat {} + | sort -u))
}

# ghostty_apt ROOT WORK ARG…: apt from outside, dpkg in ROOT. The machine's own hooks are not for this root.
ghostty_apt() {
    local root=$1 work=$2
    shift 2
    printf '#clear %s;\n' DPkg::Pre-Invoke DPkg::Post-Invoke DPkg::Pre-Install-Pkgs DPkg::Options >"$work/apt.conf"
    DEBIAN_FRONTEND=noninteractive apt-get -c "$work/apt.conf" "${apt_opts[@]}" -q \
        -o "Dir::State::status=$root/var/lib/dpkg/status" -o "Dir::State::extended_states=$root/var/lib/apt/extended_states" \
        -o "Dir::Log=$work" -o "DPkg::Options::=--root=$root" \
        -o DPkg::Options::=--force-unsafe-io -o Dpkg::Use-Pty=0 "$@" >"$work/apt.log" 2>&1 </dev/null ||
        { cat "$work/apt.log" >&2; return 1; }
}

# ghostty_missing ROOT TREE: the sonames that TREE's ELF files need and neither TREE nor ROOT holds.
ghostty_missing() {
    local root=$1 tree=$2
    comm -23 \
        <(find "$tree" -type f \( -perm /111 -o -name '*.so*' \) -exec readelf -d {} + 2>/dev/null |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | sort -u) \
        <({
            find "$tree" -name '*.so*' -printf '%f\n'
            find "$root"/usr/lib "$root"/usr/lib/*-linux-gnu "$root"/usr/lib64 -maxdepth 1 -name '*.so*' -printf '%f\n' 2>/dev/null
        } | sort -u)
}

# packages_of_sonames SONAME…: for each the package named after it as Debian's policy (8.1) asks: libonig.so.5 is in
# libonig5, libgtk-4.so.1 in libgtk-4-1; a letter or t64 may follow since an ABI changed. Those that break the rule
# (libgio-2.0.so.0 is in libglib2.0-0t64) are left out: they come as dependencies of others.
packages_of_sonames() {
    local soname name
    apt-cache "${apt_opts[@]}" pkgnames lib | sort >"$work/names"
    for soname in "$@"; do
        name=$(sed -E 's/([0-9])\.so\./\1-/; s/\.so\.//; s/_/-/g; s/[.+]/\\&/g' <<<"${soname,,}")
        grep -m1 -xE "$name(t64|[a-z])?" "$work/names" || true
    done
}

# ghostty_record ROOT FILE WORK: runs it in the image, and writes down what it says it is.
ghostty_record() {
    local root=$1 file=$2 work=$3 output version libraries
    # This root has no /proc, by which the loader finds $ORIGIN and Ghostty its own files: so both are told.
    libraries=$(cd "$work/tree" && find usr -name '*.so*' -printf '/%h\n' | sort -u | paste -sd:)
    output=$(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        LD_LIBRARY_PATH="$libraries" GHOSTTY_RESOURCES_DIR=/usr/share/ghostty \
        chroot "$root" /usr/bin/ghostty +version 2>&1 </dev/null) ||
        die "\`ghostty +version\` does not run in the image: $(tail -3 <<<"$output")"
    version=$(grep -m1 -oE '[0-9]+(\.[0-9]+)+[^ ]*' <<<"$output") ||
        die "\`ghostty +version\` names no version: $(head -3 <<<"$output")"
    mkdir -p "$root/usr/share/virtualghost"
    jq -n --arg version "$version" --arg file "$(basename "$file")" --arg sha256 "$(sha256sum "$file" | cut -d' ' -f1)" \
        '{terminal: "ghostty", terminal_version: $version, terminal_origin: {file: $file, sha256: $sha256}}' \
        >"$root/usr/share/virtualghost/terminal.json"
    # Scripts of packages write to /dev/null: in a root without devices it is a file now, in the way of the real one.
    find "$root/dev" -type f -delete
    say "ghostty $version from $(basename "$file")"
}
