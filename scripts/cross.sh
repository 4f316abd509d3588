# shellcheck shell=bash
# Cargo for platforms other than this machine's: zig is the C compiler and the linker, and where rustc brings no standard
# library for a platform, one is built from Debian's source package, which has to be of rustc's very version.
# Usage: . lib.sh; . cross.sh; has_std TARGET && cross SUBCOMMAND TARGET OPTIONS...
# All of it, and what is compiled, stays in the build cache. Whoever sources this holds the cache's lock till it ends.
cargo=${CARGO:-cargo}
need "$cargo" rustc python3 flock
rustc_version=$(rustc --version | cut -d' ' -f2)
cross_cache=$(build_cache_path)/platforms
cross_target_path=$cross_cache/target-$rustc_version
mkdir -p "$cross_cache"
exec 7>"$cross_cache/lock"
flock -n 7 || { say "waiting for another build for other platforms (lock: $cross_cache/lock)"; flock 7; }

# kept NAME FUNCTION: makes sure of $cross_cache/NAME, which `FUNCTION DIR` fills where it is missing; whole or not at all.
kept() {
    local new=$cross_cache/.new
    [ -d "$cross_cache/$1" ] && return
    rm -rf "$new"
    mkdir "$new"
    ("$2" "$new") && mv "$new" "$cross_cache/$1"
}

fetch_zig() {
    say "fetching zig"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$1" \
        'ziglang==0.17.1' 'cargo-zigbuild==0.24.0'
}

# The folder `library` of rustc's source; fails where Debian has none of this version.
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

# has_std TARGET: whether there is a standard library, or the source of one; $no_std says what to do where there is not.
# shellcheck disable=SC2034 # read by who sources this
no_std="rustc brings no library for it (rustup target add), and Debian has no rust-src $rustc_version"
has_own_std() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }
has_std() { has_own_std "$1" || kept "std-$rustc_version" std_source; }

kept zig-0.17.1 fetch_zig
PATH=$cross_cache/zig-0.17.1/bin:$cross_cache/zig-0.17.1/ziglang:$PATH
export ZIG_GLOBAL_CACHE_DIR=$cross_cache/zig-cache CARGO_ZIGBUILD_CACHE_DIR=$cross_cache/zigbuild-cache

# cross SUBCOMMAND TARGET[.GLIBC] OPTIONS...: cargo-zigbuild's `zigbuild`, `clippy` or `test`, with nothing embedded, for a
# platform that has_std is true for.
cross() {
    local subcommand=$1 target=$2 build_std=() settings
    settings=(CARGO="$cargo" VIRTUALGHOST_EMPTY=1 CARGO_TARGET_DIR="$cross_target_path")
    shift 2
    if ! has_own_std "${target%.2.*}"; then
        build_std=("-Zbuild-std=std,panic_abort")
        # Unstable, for cargo alone: the source is looked for beside rustc otherwise.
        settings+=(RUSTC_BOOTSTRAP=1 "__CARGO_TESTS_ONLY_SRC_ROOT=$cross_cache/std-$rustc_version/library")
    fi
    # zig brings musl's start files; a rustc without a library for it has none.
    case $target in *-musl) settings+=(RUSTFLAGS="${RUSTFLAGS:-} -Clink-self-contained=no") ;; esac
    env "${settings[@]}" cargo-zigbuild "$subcommand" --quiet --locked --manifest-path "$REPO/Cargo.toml" \
        --target "$target" "${build_std[@]}" "$@" 7>&- 9>&-
}
