#!/usr/bin/env bash
# Installs the Debian packages that the build and the tests need, if any is missing; the one list of them.
# Usage: scripts/install-deps.sh [build|test]...   (default: both). Needs root or sudo only if something is missing.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

build_packages=(
    gcc libc6-dev make                          # rustc's linker, the window shim
    flex bison bc libelf-dev libssl-dev xz-utils python3 cpio kmod rsync # the kernel
    mmdebstrap debian-archive-keyring uidmap e2fsprogs arch-test # the rootfs
    patchelf binutils file zstd jq              # the QEMU bundle
)
# What a machine with a desktop has anyway: the window and its GL come from the host.
host_packages=(libgl1 libegl1 libgl1-mesa-dri libgbm1 libx11-6 libwayland-client0)
test_packages=(
    shellcheck
    g++                                         # libFuzzer
    python3-pip                                 # zig, for check-platforms
    wine wine64                                 # the Windows program
    xvfb xauth x11-utils x11-xserver-utils xdotool imagemagick tesseract-ocr # a screen, hands and eyes
    podman buildah                              # make docker-build
    openssh-client rsync                        # the agent's clients
    libfaketime                                 # the kill matrix: a clock that jumps
    openssl procps sshfs weston                 # make lab
    pacman-package-manager libarchive-tools     # the arch flavour's stub repository
    # the install files, each looked at by its own system's tool
    lintian makepkg ruby desktop-file-utils libxml2-utils librsvg2-bin osslsigncode python3-yaml python3-jsonschema
)

# On macOS and Windows no guest is built and no test that needs Debian runs: what a release takes there.
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
    *) die "no such set: $set (build, test)" ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian. Install by your package manager what these Debian packages hold: ${packages[*]}"
    exit 0
fi
missing=()
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | awk '$2 == "installed" {print $1}')
for p in "${packages[@]}"; do
    grep -qxF "$p" <<<"$installed" || missing+=("$p")
done
((${#missing[@]})) || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "needs root for: apt-get install ${missing[*]}"
    sudo=(sudo)
fi
say "installing: ${missing[*]}"
"${sudo[@]}" apt-get -qq update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
