#!/usr/bin/env bash
# The executable on other hosts: Debian 11, 12, 13 and sid, each with its own C library, Mesa and X server. A VM becomes ready
# there with a window of gtk and of SDL, in each with OpenGL of that host (virgl) and without.
# Usage: tests/lab/hosts.sh EXECUTABLE [SUITE]...      EXECUTABLE: that of `make dist`, which is linked for glibc 2.31;
#                                                      by default bullseye bookworm trixie sid
# The hosts are chroots, kept in the build cache (lab-host-SUITE/) with Debian's versions of that day.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need apt-get dpkg-deb jq unshare
[ -x "${1:-}" ] || die "usage: tests/lab/hosts.sh EXECUTABLE [SUITE]..."
executable=$(realpath "$1")
shift
(($#)) || set -- bullseye bookworm trixie sid
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What every desktop has (scripts/install-deps.sh), an X server, and tools of the checks. Nothing of GTK or SDL.
packages=('?essential' libgl1 libegl1 libgl1-mesa-dri libgbm1 libdrm2 libx11-6 libwayland-client0 libstdc++6 libexpat1 libzstd1 zlib1g
    xvfb x11-utils xkb-data x11-xkb-utils)

build_host() (
    local dir=$1 tmp=$1/tmp root=$1/root suites=("$debian" "$debian-security") link deb
    [ "$debian" != sid ] || suites=(sid)
    mkdir -p "$tmp" "$root"/{usr/{bin,sbin,lib,lib64},dev,proc,sys,tmp/.X11-unix}
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
    private_apt "$tmp/apt" "${suites[@]}"
    # shellcheck disable=SC2154 # from private_apt
    apt-get "${apt_opts[@]}" -qq -y -o Debug::NoLocking=1 --download-only install "${packages[@]}" >/dev/null
    for deb in "$tmp"/apt/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" --keep-directory-symlink --no-same-owner -x
    done
    [ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
    rm -rf "$tmp"
    jq -n --arg component "lab-host-$debian" '{$component}' >"$dir/manifest.json"
)

# on_host COMMAND…: in the chroot, with the devices and processes of this machine.
on_host() {
    # shellcheck disable=SC2016 # for the other shell
    as_root unshare --mount bash -euc '
        root=$1 && shift
        mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys"
        mount -t tmpfs tmpfs "$root/tmp" && mkdir -m 1777 "$root/tmp/.X11-unix"
        mkdir -p -m 700 "$root/root" "$root/tmp/run" && touch "$root/virtualghost" && mount --bind "$1" "$root/virtualghost" && shift
        exec env -i PATH=/usr/bin:/usr/sbin HOME=/tmp XDG_RUNTIME_DIR=/tmp/run LIBGL_ALWAYS_SOFTWARE=1 chroot "$root" "$@"
    ' bash "$work/$debian/root" "$executable" "$@"
}

# What runs there: an X server, then one VM after the other.
cat >"$work/host.sh" <<'SCRIPT'
Xvfb :77 -screen 0 1280x800x24 -nolisten tcp </dev/null >/tmp/xvfb.log 2>&1 &
xvfb=$!
for i in $(seq 100); do [ -S /tmp/.X11-unix/X77 ] && break; sleep 0.1; done
export DISPLAY=:77
try() { if "$@" >/tmp/output 2>&1; then echo "ok $way"; else echo "failed $way: $*"; tail -20 /tmp/output; fi; }
way='the launcher starts' try /virtualghost --version
for way in '--display gtk --gl on' '--display gtk --gl off' '--display sdl --gl on' '--display sdl --gl off'; do
    try /virtualghost run --name host --ephemeral --start boot --detach $way
    way="$way window" try sh -c 'xwininfo -root -tree | grep -i virtualghost'
    way="$way listed" try sh -c '/virtualghost ps --json | grep "\"ready\""'
    /virtualghost stop host >/dev/null 2>&1 || /virtualghost stop --force host
done
kill $xvfb
SCRIPT
works() { grep -qxF "ok $1" "$work/said-$debian" || { cat "$work/said-$debian" && false; }; }

for debian in "$@"; do
    key=$(inputs_key "=$debian ${packages[*]}" "=$(declare -f build_host private_apt)")
    (cached "lab-host-$debian" "$key" "$work/$debian" build_host)
    on_host bash -c "$(<"$work/host.sh")" </dev/null >"$work/said-$debian" 2>&1 || true
    check "$debian: the launcher starts" works 'the launcher starts'
    for way in '--display gtk --gl on' '--display gtk --gl off' '--display sdl --gl on' '--display sdl --gl off'; do
        check "$debian: a VM becomes ready ($way)" works "$way"
        check "... its window is there" works "$way window"
        check "... and ps shows it" works "$way listed"
    done
done
finish
