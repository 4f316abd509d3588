#!/usr/bin/env bash
# Builds the guest's kernel from Debian's kernel source and the fragments in docker/kernel/: for x86_64 an ELF vmlinux
# that QEMU boots through PVH, for aarch64 a plain Image.
# Usage: [ARCH=x86_64|aarch64] scripts/build-kernel.sh OUT      (about 6 minutes on 2 cores)
#
# It builds the newest version of the package. A pinned version would disappear from the archive with the next security
# update. The version is not part of the cache key; the options, the package's name and the compiler are. manifest.json
# records the version. For a newer one, remove kernel/ from the cache.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH
# shellcheck source=scripts/kernel.sh
. "$REPO/scripts/kernel.sh"

fragments=("${kernel_fragments[@]}")

build() (
    local dir=$1 work=$1/work package version
    need apt-get dpkg-deb gcc make flex bison bc xz jq
    mkdir "$work"
    cd "$work"
    package=$(fetch_kernel "$work/apt")
    version=${package#* }
    configure_kernel "${fragments[@]}"
    say "building $version for $ARCH with $(nproc) jobs; this takes some minutes"
    kernel_make linux -j"$(nproc)" "${image##*/}"
    cp "linux/$image" "$dir/"
    [ "$image" != vmlinux ] || "${tools}strip" -s "$dir/vmlinux"
    jq -n --arg version "${version%-*}" --arg package "$package" --arg arch "$ARCH" \
        --argjson options "$(grep -c '^CONFIG_' asked.config)" \
        '{component: "kernel", $arch, $version, $package, config_options: $options}' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$work"
)

(($# == 1)) || die "usage: build-kernel.sh OUT"
need "${tools}gcc" "${tools}strip"
cached kernel "$(kernel_key "=$image")" "$1" build
