#!/usr/bin/env bash
# Installs the missing Debian packages of the build and the tests. This is the only list of them.
# Usage: scripts/install-deps.sh [build|test|cross|gpu-pack]...   (default: build test)
# Needs root or sudo only if a package is missing. cross: packages for a guest of another architecture (ARCH=).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

build_packages=(
    gcc libc6-dev make                          # rustc's linker, the window shim
    python3-pip                                 # zig, for the agent
    flex bison bc libelf-dev libssl-dev xz-utils python3 cpio kmod rsync # the kernel
    curl ca-certificates                        # Ghostty's package
    mmdebstrap debian-archive-keyring uidmap e2fsprogs arch-test # the rootfs
    patchelf binutils file zstd jq              # the QEMU bundle
)
# Every machine with a desktop has these: the window and its OpenGL are the host's.
host_packages=(libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0)
test_packages=(
    shellcheck
    g++                                         # libFuzzer
    wine wine64                                 # the Windows program
    xvfb xauth x11-utils x11-xserver-utils xdotool imagemagick tesseract-ocr # a virtual screen, its input and its pictures
    podman buildah                              # make docker-build
    pkg-config                                  # Ghostty's stand-in
    openssh-client rsync                        # the agent's clients
    qemu-utils                                  # qemu-img, which checks a qcow2 header
    libfaketime                                 # the kill matrix: a clock that jumps
    strace                                      # counts the system calls of a warm start
    openssl procps sshfs weston tmux libgtk-3-bin dbus # make lab
    git nghttp2-server                          # what a VM's network carries
    fontconfig                                  # the image's fonts
    pacman-package-manager libarchive-tools     # the arch flavour's stub repository
    # the install files, each checked by its system's own tool
    lintian makepkg man-db ruby desktop-file-utils libxml2-utils librsvg2-bin osslsigncode python3-yaml python3-jsonschema
)
gpu_pack_packages=(squashfs-tools)
cross_packages=(
    "gcc-${ARCH/_/-}-linux-gnu"                 # the kernel, Mesa's LLVM
    "libc6-dev-$(deb_arch "$ARCH")-cross"
    qemu-user-static arch-test                  # runs programs of the image while it is built
)

# The packages of a release on macOS and Windows, where no guest is built and no test needs Debian.
brew_packages=(bash coreutils findutils flock gnu-sed gnu-tar grep jq make qemu zstd)
msys2_packages=(make tar zstd util-linux mingw-w64-ucrt-x86_64-{angleproject,binutils,gcc,jq,osslsigncode,qemu,rust})

case $(uname -s) in
Darwin)
    for p in "${brew_packages[@]}"; do
        brew list --versions "$p" >/dev/null || brew install --quiet "$p" || die "brew could not install $p"
    done
    exit 0
    ;;
MSYS_NT* | MINGW*)
    pacman -S --needed --noconfirm "${msys2_packages[@]}" >&2 || die "pacman could not install: ${msys2_packages[*]}"
    exit 0
    ;;
esac

packages=()
(($#)) || set -- build test
for set in "$@"; do
    case $set in
    build) packages+=("${build_packages[@]}" "${host_packages[@]}") ;;
    test) packages+=("${test_packages[@]}") ;;
    cross) [ "$ARCH" = "$HOST_ARCH" ] || packages+=("${cross_packages[@]}") ;;
    gpu-pack) packages+=("${gpu_pack_packages[@]}") ;;
    *) die "no such set: $set (build, test, cross, gpu-pack)" ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian; install the equivalents of these packages with your package manager: ${packages[*]}"
    exit 0
fi
missing=()
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | awk '$2 == "installed" {print $1}')
for p in "${packages[@]}"; do
    grep -qxF "$p" <<<"$installed" || missing+=("$p")
done
as_admin() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || die "needs root for: $*"
        sudo "$@"
    fi
}
if ((${#missing[@]})); then
    say "installing: ${missing[*]}"
    as_admin apt-get -qq update
    as_admin env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
fi

# The kernel's interpreter for programs of another architecture. systemd registers it at boot; without systemd it must be
# registered here.
if [[ " $* " = *" cross "* ]] && ! arch-test "$(deb_arch "$ARCH")" >/dev/null 2>&1; then
    # shellcheck disable=SC2016 # $1 is for the other shell
    as_admin sh -ec '[ -e "$1/register" ] || mount -t binfmt_misc binfmt_misc "$1"
        cat "$2" >"$1/register"' sh /proc/sys/fs/binfmt_misc "/usr/lib/binfmt.d/qemu-$ARCH.conf" ||
        die "the kernel runs no programs for $ARCH (binfmt_misc); in a container, the host must register them"
fi
