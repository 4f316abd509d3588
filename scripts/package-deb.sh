#!/usr/bin/env bash
# Makes the .deb of an executable with cargo-deb ([package.metadata.deb] in Cargo.toml): OUT/virtualghost_VERSION-1_ARCH.deb
# Usage: [CARGO=cargo] scripts/package-deb.sh DIST OUT      DIST: the output of `make dist`
# It uses the cargo-deb in PATH, or compiles one and keeps it in the build cache.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH
[ $# = 2 ] || die "usage: scripts/package-deb.sh DIST OUT"
cargo=${CARGO:-cargo}
need "$cargo" dpkg-deb
[ -x "$1/virtualghost" ] || die "no $1/virtualghost; run: make dist"
wanted=3.8.0

cargo_deb=$(command -v cargo-deb || true)
if [ -z "$cargo_deb" ]; then
    tool=$(build_cache_path)/tools/cargo-deb-$wanted
    cargo_deb=$tool/bin/cargo-deb
    [ -x "$cargo_deb" ] || {
        say "compiling cargo-deb $wanted"
        "$cargo" install --quiet --locked "cargo-deb@$wanted" --root "$tool" --target-dir "$tool/target" && rm -rf "$tool/target"
    }
fi

# The paths in Cargo.toml are relative to the manifest, so the files are put beside a copy of it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$REPO"/{Cargo.toml,Cargo.lock,build.rs,LICENSE,README.md,src,packaging,tests} "$work/"
"$REPO/scripts/share-files.sh" "$work/dist/share"
cp "$1/virtualghost" "$work/dist/"
sed "s,@VERSION@,$(project_version),g; s/@DATE@/$(date -Ru -d "@$SOURCE_DATE_EPOCH")/" \
    "$REPO/packaging/debian/changelog.in" >"$work/dist/changelog"
mkdir -p "$2"
# Fast compression: the payload is compressed already.
"$cargo_deb" --manifest-path "$work/Cargo.toml" --no-build --no-strip --fast --quiet --output "$2/"
