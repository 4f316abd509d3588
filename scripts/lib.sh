# shellcheck shell=bash
# Shared by every build script: messages, the build cache, a private apt.
# Usage: . "$(dirname "$0")/lib.sh"
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export REPO
export LC_ALL=C.UTF-8
# Every timestamp that a build writes: fixed, so that equal inputs give equal bytes. Scripts that run packers export it; the
# others do not, because cargo compiles C code again when it changes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600}

# macOS has bash 3 and BSD's tools. The scripts need bash 4 and GNU's tools, from Homebrew.
if [[ $OSTYPE == darwin* ]]; then
    for gnu in {/usr/local,/opt/homebrew}/opt/{coreutils,findutils,gnu-sed,gnu-tar,grep}/libexec/gnubin; do
        [ ! -d "$gnu" ] || PATH=$gnu:$PATH
    done
fi

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# This machine's architecture, and the guest's: ARCH=x86_64 or aarch64, by default this machine's.
HOST_ARCH=$(uname -m)
HOST_ARCH=${HOST_ARCH/arm64/aarch64} # as macOS has it
export ARCH=${ARCH:-$HOST_ARCH}
case $ARCH in
x86_64 | aarch64) ;;
*) die "there are no guests for ARCH=$ARCH (x86_64, aarch64)" ;;
esac

# The Debian that the debian flavour's guest is: trixie, or sid, whose packages are as new as those of rolling distributions.
export SUITE=${SUITE:-trixie}
case $SUITE in
trixie | sid) ;;
*) die "there are no guests of SUITE=$SUITE (trixie, sid)" ;;
esac

# deb_arch ARCH: prints Debian's name of it.
deb_arch() {
    case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) die "no packages are known for $1" ;;
    esac
}

# guest_loader: prints the path of the dynamic loader in a root filesystem for ARCH.
guest_loader() {
    case $ARCH in
    x86_64) echo lib64/ld-linux-x86-64.so.2 ;;
    aarch64) echo lib/ld-linux-aarch64.so.1 ;;
    esac
}

# build_path: prints the folder of the components for ARCH and SUITE. Each other one has a folder below the usual one.
build_path() {
    local other=
    [ "$ARCH" = "$HOST_ARCH" ] || other+=/$ARCH
    [ "$SUITE" = trixie ] || other+=/$SUITE
    printf '%s\n' "$REPO/assets/build$other"
}

# tool_prefix: prints the prefix of the compiler and its tools for ARCH.
tool_prefix() { [ "$ARCH" = "$HOST_ARCH" ] || printf '%s\n' "$ARCH-linux-gnu-"; }

# need COMMAND...: fails if one is not installed, and prints the fix.
need() {
    local c missing=()
    for c in "$@"; do command -v "$c" >/dev/null || missing+=("$c"); done
    ((${#missing[@]} == 0)) || die "not installed: ${missing[*]}; run: scripts/install-deps.sh"
}

((BASH_VERSINFO[0] >= 4)) || [ "${0##*/}" = install-deps.sh ] || die "bash $BASH_VERSION is too old; run: scripts/install-deps.sh build, then open a new shell"

# as_root COMMAND...: directly as root, else in a user namespace where we are root. Nothing is mounted.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else unshare --map-root-user --map-auto "$@"; fi
}

# inputs_key ITEM...: prints one sha256 over files, folders (every file below, with its mode) and =STRINGS. Paths count
# relative to the repository, so the same inputs give the same key in every clone.
inputs_key() {
    local item
    for item in "$@"; do
        case $item in
        =*) printf 'string %s\n' "${item#=}" ;;
        *)
            [ -e "$item" ] || die "an input is missing: $item"
            find "$item" -type f -printf '%m %p\0' | sort -z -k2 | while IFS=' ' read -r -d '' mode file; do
                printf 'file %s %s %s\n' "${file#"$REPO"/}" "$mode" "$(sha256sum <"$file")"
            done
            ;;
        esac
    done | sha256sum | cut -d' ' -f1
}

build_cache_path() {
    printf '%s\n' "${VIRTUALGHOST_BUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtualghost-build}"
}

# What each component took on two cores of a cloud machine, with everything to be downloaded nearby.
declare -A usual_minutes=([kernel]=22 [agent]=6 [qemu]=8 [rootfs]=1 [gpu-pack]=60 [gpu-kernel]=40)

# cached COMPONENT KEY OUT FUNCTION
# Puts the component into OUT: copied from the build cache if KEY is there, otherwise built by `FUNCTION DIR`, which
# fills the empty DIR and writes DIR/manifest.json. A failed build leaves neither a cache entry nor OUT. If two clones
# build the same key at the same time, the second waits for the first.
cached() {
    local component=$1 key=$2 out=$3 build=$4 cache entry tmp
    cache=$(build_cache_path)/$component
    entry=$cache/$key
    mkdir -p "$cache"
    exec 9>"$cache/$key.lock"
    flock -n 9 || { say "waiting for another build of $component (lock: $cache/$key.lock)"; flock 9; }
    if [ ! -f "$entry/manifest.json" ]; then
        tmp=$(mktemp -d "$cache/.$key.XXXXXX")
        # shellcheck disable=SC2064 # the path of now
        trap "rm -rf '$tmp'" EXIT
        say "$component: building; it usually takes ${usual_minutes[$component]:-some} minutes of processor time"
        "$build" "$tmp"
        times >"$tmp.times" # in this shell: one of its own would have used none
        say "$component: built in $(awk -F'[ ms]+' '{ sum += $1 + $3 + ($2 + $4) / 60 } END { printf "%.1f", sum }' "$tmp.times") minutes of processor time"
        rm "$tmp.times"
        [ -s "$tmp/manifest.json" ] || die "$build wrote no manifest.json"
        rm -rf "$entry"
        mv "$tmp" "$entry"
        trap - EXIT
    else
        say "$component: from the build cache ($entry)"
    fi
    exec 9>&-
    mkdir -p "$(dirname "$out")"
    rm -rf "$out" "$out.new"
    cp -a --reflink=auto --sparse=always "$entry" "$out.new"
    chmod 755 "$out.new"
    touch "$out.new/manifest.json" # newer than its prerequisites, for make
    mv "$out.new" "$out"
    say "$component: $out"
}

# debian_mirror: prints the archive that this machine uses, or MIRROR. The tree names no host.
debian_mirror() {
    local m=${MIRROR:-}
    # shellcheck disable=SC2016 # apt's format, not the shell's
    {
        [ -n "$m" ] || m=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | head -1)
        [ -n "$m" ] || m=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/*$' || true)
    }
    [ -n "$m" ] || die "no Debian archive found in apt's sources; run apt-get update, or set MIRROR=URL"
    printf '%s\n' "${m%/}"
}

# private_apt DIR SUITE...: sets up an apt that reads only these Debian suites and keeps its state in DIR. The machine's own
# configuration is neither read nor changed. Use it as `apt-get "${apt_opts[@]}" …`. `components` is main by default.
private_apt() {
    local dir=$1 suite mirror arch=${DEB_ARCH:-$(deb_arch "$HOST_ARCH")} components=${components:-main}
    shift
    mirror=$(debian_mirror)
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/etc"
    : >"$dir/status"
    for suite in "$@"; do
        case $suite in
        *-security) printf 'deb [signed-by=KEY] %s-security %s %s\n' "$mirror" "$suite" "$components" ;;
        *) printf 'deb [signed-by=KEY] %s %s %s\n' "$mirror" "$suite" "$components" ;;
        esac
    done | sed 's,KEY,/usr/share/keyrings/debian-archive-keyring.gpg,' >"$dir/sources.list"
    apt_opts=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache"
        -o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o Acquire::Check-Valid-Until=false
        -o Acquire::Languages=none -o APT::Sandbox::User=root -o APT::Install-Recommends=false)
    apt-get "${apt_opts[@]}" -qq update || die "apt could not read $* from the archive in $dir/sources.list"
}

# project_version: prints the version in Cargo.toml.
project_version() { sed -n '/^\[package\]/,/^\[[^p]/s/^version = "\(.*\)"$/\1/p' "$REPO/Cargo.toml"; }

# platform: prints this machine's system and architecture, as in the names of release files.
platform() {
    case $(uname -s) in
    Linux) printf 'linux-%s\n' "$HOST_ARCH" ;;
    Darwin) printf 'macos-%s\n' "$HOST_ARCH" ;;
    MSYS_NT* | MINGW*) printf 'windows-%s\n' "$HOST_ARCH" ;;
    *) die "releases are not supported on $(uname -s)" ;;
    esac
}

# program_suffix PLATFORM: prints the end of a program's name.
program_suffix() { case $1 in windows-*) echo .exe ;; esac; }

# pip_install REQUIREMENTS FOLDER: installs exactly the Python packages of scripts/requirements/REQUIREMENTS.txt, each
# with a digest from that file, and nothing that they depend on besides.
pip_install() {
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
        --require-hashes --requirement "$REPO/scripts/requirements/$1.txt" --target "$2"
}

# dated_tar FILE FOLDER NAME...: makes a .tar.gz of names in a folder. The same content gives the same bytes.
dated_tar() {
    local file=$1 folder=$2
    shift 2
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" \
        -cf - "$@" | gzip -9n >"$file"
}

# mapped_qemu SCRIPT OUT: makes a stand-in for QEMU that writes to OUT how many bytes of the launcher's constants (the
# payload is one of them) are in the launcher's memory: the bytes that it has read, and up to 64 KiB around each place. How
# much more the kernel reads ahead depends on the disk's settings.
mapped_qemu() {
    cat >"$1" <<END
#!/bin/sh
exe=\$(readlink /proc/\$PPID/exe)
awk -v exe="\$exe" '/^[0-9a-f]+-[0-9a-f]+ / {ours = \$NF == exe && \$2 == "r--p"} /^Rss:/ && ours {sum += \$2} END {print sum * 1024}' /proc/\$PPID/smaps >"$2"
END
    chmod +x "$1"
}

# stub_source TEXT <SYMBOLS: prints C code with these functions, each of which prints TEXT and aborts. Symbols are as nm
# prints them, NAME or NAME@VERSION.
stub_source() {
    printf '%s\n' '#include <stdlib.h>' '#include <unistd.h>' "static const char text[] = \"$1\\n\";" \
        'static void left_out(void) { if (write(2, text, sizeof text - 1)) {} abort(); }'
    sed 's/@.*//; s/.*/void &(void) __attribute__((alias("left_out")));/'
}

# version_script <SYMBOLS: prints a version script for ld that exports exactly these.
version_script() {
    awk -F@ '{symbols[$2] = symbols[$2] " " $1 ";"}
        END {for (version in symbols) print version " { global:" symbols[version] (n++ ? "" : " local: *;") " };"
            if (!n) print "{ local: *; };"}' | sort
}
