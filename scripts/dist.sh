#!/usr/bin/env bash
# Builds the executable of a release: OUT/virtualghost, OUT/sbom.spdx.json, OUT/SHA256SUMS.
# Usage: [CARGO=cargo] scripts/dist.sh BUILD OUT      BUILD: the folder of kernel, rootfs and qemu
#
# The same sources give the same bytes in every folder: rustc and the C compiler replace paths of this machine. On Linux it
# is linked for glibc 2.31 and later, whatever this machine has. For tests: VIRTUALGHOST_EMPTY=1 embeds nothing,
# VIRTUALGHOST_ZSTD_LEVEL=3 saves time.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH
[ $# = 2 ] || die "usage: scripts/dist.sh BUILD OUT"
cargo=${CARGO:-cargo}
need "$cargo" jq objdump sha256sum
build=$(realpath "$1") out=$2
platform=$(platform)
program=virtualghost$(program_suffix "$platform")
target=${CARGO_TARGET_DIR:-$REPO/target}/dist

# as_here PATH: prints it in the form of this system's compilers.
as_here() { case $platform in windows-*) cygpath -w "$1" ;; *) printf '%s\n' "$1" ;; esac; }

cargo_home=${CARGO_HOME:-$HOME/.cargo}
# If two match, the last one applies.
flags="--remap-path-prefix=$(as_here "$cargo_home")=/cargo --remap-path-prefix=$(as_here "$REPO")=/src --remap-path-prefix=$(as_here "$target")=/target"
c_flags="-ffile-prefix-map=$(as_here "$cargo_home")=/cargo -ffile-prefix-map=$(as_here "$target")=/target"
VIRTUALGHOST_ASSETS=$(as_here "$build")
export VIRTUALGHOST_ASSETS VIRTUALGHOST_ZSTD_LEVEL=${VIRTUALGHOST_ZSTD_LEVEL:-19}
options=(--release --bin virtualghost --target-dir "$target")
case $platform in
linux-*)
    # shellcheck source=scripts/cross.sh
    . "$REPO/scripts/cross.sh"
    flags+=" --remap-path-prefix=$cross_cache=/cross"
    c_flags+=" -ffile-prefix-map=$cross_cache=/cross"
    RUSTFLAGS="${RUSTFLAGS:-} $flags" CFLAGS="${CFLAGS:-} $c_flags" cross zigbuild "$HOST_ARCH-unknown-linux-gnu.2.31" "${options[@]}"
    built=$target/$HOST_ARCH-unknown-linux-gnu/release
    newest=$(objdump -T "$built/$program" | grep -o 'GLIBC_2\.[0-9.]*' | sort -uV | tail -n1)
    [ "$(printf '%s\n' GLIBC_2.31 "$newest" | sort -V | tail -n1)" = GLIBC_2.31 ] || die "$program needs $newest, not GLIBC_2.31 at most"
    ;;
*)
    case $platform in windows-*) flags+=" -C target-feature=+crt-static" ;; esac
    RUSTFLAGS="${RUSTFLAGS:-} $flags" CFLAGS="${CFLAGS:-} $c_flags" "$cargo" build --locked --manifest-path "$REPO/Cargo.toml" "${options[@]}"
    built=$target/release
    ;;
esac

mkdir -p "$out"
cp "$built/$program" "$out/$program"
case $platform in windows-*)
    # It must start without MSYS2.
    ! objdump -p "$out/$program" | grep -iE 'DLL Name: (lib|msys-)' || die "$program links libraries that Windows does not have"
    ;;
esac
if [ -f "$build/rootfs/sbom.spdx.json" ]; then
    "$REPO/scripts/sbom.sh" "$build" >"$out/sbom.spdx.json"
elif [ -z "${VIRTUALGHOST_EMPTY:-}" ]; then
    die "$build/rootfs/sbom.spdx.json is missing; run: make assets"
else
    echo '{"spdxVersion": "SPDX-2.3"}' >"$out/sbom.spdx.json"
fi
cd "$out"
sha256sum "$program" sbom.spdx.json | tee SHA256SUMS
