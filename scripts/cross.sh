# shellcheck shell=bash
# Cargo for platforms other than this machine's. zig is the C compiler and the linker. If rustc has no standard library for
# a platform, it is built from Debian's source package of exactly rustc's version.
# Usage: . lib.sh; . cross.sh; has_std TARGET && cross SUBCOMMAND TARGET OPTIONS...
# Everything is kept in the build cache. A script that sources this file holds the cache's lock until the script ends.
cargo=${CARGO:-cargo}
need "$cargo" rustc python3 flock
rustc_version=$(rustc --version | cut -d' ' -f2)
cross_cache=$(build_cache_path)/platforms
cross_target_path=$cross_cache/target-$rustc_version
mkdir -p "$cross_cache"
exec 7>"$cross_cache/lock"
flock -n 7 || { say "waiting for another build for other platforms (lock: $cross_cache/lock)"; flock 7; }

# kept NAME FUNCTION: if $cross_cache/NAME is missing, makes it by `FUNCTION DIR`. A failure leaves nothing.
kept() {
    local new=$cross_cache/.new
    [ -d "$cross_cache/$1" ] && return
    rm -rf "$new"
    mkdir "$new"
    ("$2" "$new") && mv "$new" "$cross_cache/$1"
}

fetch_zig() {
    say "fetching zig"
    pip_install zig "$1"
}

# std_source DIR: fetches the folder `library` of rustc's source; fails if Debian does not have this version.
std_source() {
    local deb apt=$1/apt
    command -v apt-get dpkg-deb >/dev/null || return 1
    private_apt "$apt" trixie-backports sid
    # shellcheck disable=SC2154 # apt_opts comes from private_apt
    deb=$(apt-cache "${apt_opts[@]}" madison rust-src |
        awk -v wanted="$rustc_version+" 'index($3, wanted) == 1 {print $3; exit}')
    [ -n "$deb" ] || return 1
    say "fetching rust-src $deb"
    (cd "$1" && apt-get "${apt_opts[@]}" -qq download "rust-src=$deb")
    mkdir "$apt/files"
    dpkg-deb -x "$1"/rust-src_*.deb "$apt/files"
    mv "$apt/files/usr/src/rustc-$rustc_version/library" "$1/"
    rm -rf "$apt" "$1"/rust-src_*.deb
}

# has_std TARGET: whether there is a standard library, or the source of one. If not, $no_std has the reason and the fix.
# shellcheck disable=SC2034 # read by the scripts that source this
no_std="rustc has no library for it (rustup target add), and Debian has no rust-src $rustc_version"
has_own_std() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }
has_std() { has_own_std "$1" || kept "std-$rustc_version" std_source; }

kept zig-0.17.1 fetch_zig
PATH=$cross_cache/zig-0.17.1/bin:$cross_cache/zig-0.17.1/ziglang:$PATH
export ZIG_GLOBAL_CACHE_DIR=$cross_cache/zig-cache CARGO_ZIGBUILD_CACHE_DIR=$cross_cache/zigbuild-cache

# cross SUBCOMMAND TARGET[.GLIBC] OPTIONS...: cargo-zigbuild's `zigbuild`, `clippy` or `test`. Only for a platform that
# has_std accepts.
cross() {
    local subcommand=$1 target=$2 build_std=() settings
    settings=(CARGO="$cargo" CARGO_TARGET_DIR="$cross_target_path")
    shift 2
    if ! has_own_std "${target%.2.*}"; then
        build_std=("-Zbuild-std=std,panic_abort")
        # Both are unstable. RUSTC_BOOTSTRAP permits -Z in a stable cargo; it applies to std's source, which Debian has
        # signed. The other variable has cargo look for that source here instead of beside rustc.
        settings+=(RUSTC_BOOTSTRAP=1 "__CARGO_TESTS_ONLY_SRC_ROOT=$cross_cache/std-$rustc_version/library")
    fi
    # musl's start files come from zig: a rustc without a library for musl does not have them.
    case $target in *-musl) settings+=(RUSTFLAGS="${RUSTFLAGS:-} -Clink-self-contained=no") ;; esac
    env "${settings[@]}" cargo-zigbuild "$subcommand" --quiet --locked --manifest-path "$REPO/Cargo.toml" \
        --target "$target" "${build_std[@]}" "$@" 7>&- 9>&-
}
