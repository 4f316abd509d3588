#!/usr/bin/env bash
# The executable as it is given away: OUT/virtualghost, OUT/sbom.spdx.json, OUT/SHA256SUMS.
# Usage: [CARGO=cargo] scripts/dist.sh BUILD OUT      BUILD: the folder of kernel, rootfs and qemu
#
# The same sources give the same bytes wherever they lie: paths of this machine are replaced in what rustc and the C
# compiler write. For tests: with VIRTUALGHOST_EMPTY set it carries nothing, VIRTUALGHOST_ZSTD_LEVEL=3 saves time.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 2 ] || die "usage: scripts/dist.sh BUILD OUT"
cargo=${CARGO:-cargo}
need "$cargo" jq sha256sum
build=$(realpath "$1") out=$2
platform=$(platform)
program=virtualghost$(program_suffix "$platform")
target=${CARGO_TARGET_DIR:-$REPO/target}/dist

# as_here PATH: as this system's compilers name it.
as_here() { case $platform in windows-*) cygpath -w "$1" ;; *) printf '%s\n' "$1" ;; esac; }

cargo_home=${CARGO_HOME:-$HOME/.cargo}
# Where two fit, the last one counts.
flags="--remap-path-prefix=$(as_here "$cargo_home")=/cargo --remap-path-prefix=$(as_here "$REPO")=/src --remap-path-prefix=$(as_here "$target")=/target"
c_flags="-ffile-prefix-map=$(as_here "$cargo_home")=/cargo -ffile-prefix-map=$(as_here "$target")=/target"
case $platform in windows-*) flags+=" -C target-feature=+crt-static" ;; esac
RUSTFLAGS="${RUSTFLAGS:-} $flags" CFLAGS="${CFLAGS:-} $c_flags" VIRTUALGHOST_ZSTD_LEVEL=${VIRTUALGHOST_ZSTD_LEVEL:-19} \
    VIRTUALGHOST_ASSETS=$(as_here "$build") "$cargo" build --release --locked --manifest-path "$REPO/Cargo.toml" --bin virtualghost --target-dir "$target"

mkdir -p "$out"
cp "$target/release/$program" "$out/$program"
case $platform in windows-*)
    # Nothing of MSYS2's may be needed to start it.
    ! objdump -p "$out/$program" | grep -iE 'DLL Name: (lib|msys-)' || die "$program links libraries that Windows does not have"
    ;;
esac
if [ -f "$build/rootfs/sbom.spdx.json" ]; then
    "$REPO/scripts/sbom.sh" "$build" >"$out/sbom.spdx.json"
elif [ -z "${VIRTUALGHOST_EMPTY:-}" ]; then
    die "no list of packages: $build/rootfs/sbom.spdx.json"
else
    echo '{"spdxVersion": "SPDX-2.3"}' >"$out/sbom.spdx.json"
fi
cd "$out"
sha256sum "$program" sbom.spdx.json | tee SHA256SUMS
