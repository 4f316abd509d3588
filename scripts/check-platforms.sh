#!/usr/bin/env bash
# Compiles the program for every platform that it is for, with clippy: the launcher for all, the agent for Linux.
# Usage: [CARGO=cargo] scripts/check-platforms.sh [TARGET...]     (default: all; nothing is run)
#
# Where rustc brings no standard library for a platform, one is built from Debian's source package. That has to be of
# rustc's very version: without it, the platform is named and passed over. zig is the C compiler. All of this, and what
# is compiled, stays in the build cache: the first time takes minutes for each platform, later ones a minute in all.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

cargo=${CARGO:-cargo}
need "$cargo" rustc python3 flock
targets=("$@")
(($#)) || targets=(
    x86_64-unknown-linux-musl aarch64-unknown-linux-gnu x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-apple-darwin
)
version=$(rustc --version | cut -d' ' -f2)
cache=$(build_cache_path)/platforms
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "waiting for another check (lock: $cache/lock)"; flock 9; }

# kept NAME FUNCTION: makes sure of $cache/NAME, which `FUNCTION DIR` fills where it is missing; whole or not at all.
kept() {
    local new=$cache/.new
    [ -d "$cache/$1" ] && return
    rm -rf "$new"
    mkdir "$new"
    ("$2" "$new") && mv "$new" "$cache/$1"
}

zig() {
    say "fetching zig"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$1" \
        'ziglang==0.17.1' 'cargo-zigbuild==0.24.0'
}

# The folder `library` of rustc's source; fails where Debian has none of this version.
std_source() {
    local deb apt=$1/apt
    command -v apt-get dpkg-deb >/dev/null || return 1
    private_apt "$apt" trixie-backports sid
    deb=$(apt-cache "${apt_opts[@]}" madison rust-src | awk -v wanted="$version+" 'index($3, wanted) == 1 {print $3; exit}')
    [ -n "$deb" ] || return 1
    say "fetching rust-src $deb"
    (cd "$1" && apt-get "${apt_opts[@]}" -qq download "rust-src=$deb")
    mkdir "$apt/files"
    dpkg-deb -x "$1"/rust-src_*.deb "$apt/files"
    mv "$apt/files/usr/src/rustc-$version/library" "$1/"
    rm -rf "$apt" "$1"/rust-src_*.deb
}

kept zig-0.17.1 zig
PATH=$cache/zig-0.17.1/bin:$cache/zig-0.17.1/ziglang:$PATH
export ZIG_GLOBAL_CACHE_DIR=$cache/zig-cache CARGO_ZIGBUILD_CACHE_DIR=$cache/zigbuild-cache

# lint TARGET OPTIONS...: one program for one platform.
lint() {
    local target=$1 start=$SECONDS build_std=() unstable=()
    shift
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
        kept "std-$version" std_source || {
            say "$target: NOT CHECKED: Debian has no rust-src $version, and rustc brings no library for it"
            return 0
        }
        build_std=("-Zbuild-std=std,panic_abort")
        # Unstable, for cargo alone: the source is looked for beside rustc otherwise.
        unstable=(RUSTC_BOOTSTRAP=1 "__CARGO_TESTS_ONLY_SRC_ROOT=$cache/std-$version/library")
    fi
    env "${unstable[@]}" CARGO="$cargo" VIRTUALGHOST_EMPTY=1 cargo-zigbuild clippy --quiet --locked --manifest-path "$REPO/Cargo.toml" --target "$target" \
        --target-dir "$cache/target-$version" "${build_std[@]}" "$@" -- -D warnings 9>&- || return 1
    say "$target: ${*:-launcher}: ok ($((SECONDS - start)) s)"
}

failed=()
for target in "${targets[@]}"; do
    lint "$target" || failed+=("$target")
    case $target in *-linux-*) lint "$target" --no-default-features --features agent || failed+=("$target (agent)") ;; esac
done
((${#failed[@]} == 0)) || die "does not compile without warnings for: ${failed[*]}"
