#!/usr/bin/env bash
# Builds a GPU pack: what a VM needs to drive a physical GPU that is handed to it. The guest's kernel with modules, the
# drivers as such, and the firmware that they ask for, each with its licence.
# Usage: [GPU_DRIVERS="amdgpu i915 xe nouveau"] scripts/build-gpu-pack.sh KERNEL OUT
#   KERNEL  the folder of build-kernel.sh: the pack's kernel is of the same version
#   OUT     gets vmlinux, gpu-pack.img (squashfs), licences/ and manifest.json
# About an hour on 2 cores with all drivers; GPU_DRIVERS="amdgpu" makes a pack for one make of card, in a third of that.
#
# The kernel's configuration is the guest's, with docker/kernel/gpu-pack/common.config and a fragment for each driver.
# The image has modules/RELEASE (with depmod's indices), firmware/ and licences/. Squashfs compresses it as a whole, so
# the kernel needs no decompression of modules and firmware.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/kernel.sh
. "$REPO/scripts/kernel.sh"

fragments_path=$REPO/docker/kernel/gpu-pack
firmware_suite=trixie

# firmware_package DRIVER: Debian's package with its firmware; NVIDIA's is what the GSP runs.
firmware_package() {
    case $1 in
    amdgpu) echo firmware-amd-graphics ;;
    i915 | xe) echo firmware-intel-graphics ;;
    nouveau) echo firmware-nvidia-graphics ;;
    esac
}

# take_firmware FILES TO NAME...: the files of these names, such as modules ask for. Says the names that are missing:
# a driver names files for cards that were never sold, and of each several versions.
take_firmware() {
    local from=$1 to=$2 name
    shift 2
    for name in "$@"; do
        # The name of a file may be a pattern.
        # shellcheck disable=SC2086
        (cd "$from" && cp -L --parents --preserve=mode -t "$to" -- $name 2>/dev/null) || echo "$name"
    done
}

build() (
    local dir=$1 work=$1/work package version release packages=() wanted missing name
    need apt-get dpkg-deb gcc make flex bison bc xz strip jq modinfo depmod mksquashfs
    mkdir -p "$work"/{firmware,image/{firmware,licences/linux,modules},root/usr/lib}
    cd "$work"
    ln -s usr/lib root/lib # depmod looks in either, by its version
    package=$(fetch_kernel "$work/apt" "$kernel_version")
    version=${package#* }
    configure_kernel "${fragments[@]}"
    say "building $version with ${drivers[*]} and $(nproc) jobs; this takes a while"
    kernel_make linux -j"$(nproc)" vmlinux modules
    "${tools}strip" -s -o "$dir/vmlinux" linux/vmlinux
    kernel_make linux INSTALL_MOD_PATH="$work/root" INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
    rm -f root/lib/modules/*/{build,source}
    release=$(basename root/lib/modules/*)
    depmod -b "$work/root" "$release"
    mv "root/lib/modules/$release" image/modules/
    cp -R linux/COPYING linux/LICENSES image/licences/linux/

    mapfile -t packages < <(for name in "${drivers[@]}"; do firmware_package "$name"; done | sort -u)
    if ((${#packages[@]})); then
        say "fetching ${packages[*]}"
        components="non-free-firmware" private_apt "$work/apt-firmware" "$firmware_suite"
        apt-get "${apt_opts[@]}" -qq download "${packages[@]}"
        for name in "${packages[@]}"; do
            dpkg-deb -x "$name"_*.deb firmware
            install -Dm644 "firmware/usr/share/doc/$name/copyright" "image/licences/$name/copyright"
        done
        mapfile -t wanted < <(find image/modules -name '*.ko' -exec modinfo -F firmware {} + | sort -u)
        missing=$(take_firmware firmware/usr/lib/firmware "$work/image/firmware" "${wanted[@]}")
    fi

    cp -R image/licences "$dir/"
    find image -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # Reproducible by default; SOURCE_DATE_EPOCH is the time of the file system itself.
    mksquashfs image "$dir/gpu-pack.img" -comp zstd -Xcompression-level 19 -b 256K -all-root -no-xattrs -noappend \
        -quiet -no-progress >&2
    for name in "${packages[@]}"; do
        jq -n --arg name "$name" --arg version "$(dpkg-deb -f "$name"_*.deb Version)" \
            --arg licence "licences/$name/copyright" '{$name, $version, $licence}'
    done | jq -s --arg arch "$ARCH" --arg version "${version%-*}" --arg package "$package" --arg release "$release" \
        --arg drivers "${drivers[*]}" --arg missing "${missing-}" \
        --argjson modules "$(find image/modules -name '*.ko' | wc -l)" \
        --argjson firmware "$(find image/firmware -type f | wc -l)" '{
            component: "gpu-pack", $arch, $version, $release, drivers: ($drivers / " "), $modules,
            packages: ([{name: ($package / " ")[0], version: ($package / " ")[1], licence: "licences/linux/COPYING"}] + .),
            firmware_files: $firmware, firmware_not_in_debian: ($missing / "\n" | map(select(. != "")))
        }' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$work"
)

(($# == 2)) || die "usage: build-gpu-pack.sh KERNEL OUT"
[ "$ARCH" = x86_64 ] || die "there is no GPU pack for ARCH=$ARCH (x86_64)"
need gcc jq
read -ra drivers <<<"${GPU_DRIVERS:-amdgpu i915 xe nouveau}"
fragments=("${kernel_fragments[@]}" "$fragments_path/common.config")
for name in "${drivers[@]}"; do
    [ -r "$fragments_path/$name.config" ] || die "GPU_DRIVERS: there is no $name.config in $fragments_path"
    fragments+=("$fragments_path/$name.config")
done
kernel_version=$(jq -er '.package | split(" ")[1]' "$1/manifest.json") || die "no kernel in $1; run: make assets"
# What is there is replaced as a whole.
[ ! -e "$2" ] || jq -e '.component == "gpu-pack"' "$2/manifest.json" >/dev/null 2>&1 || die "$2 is there and no GPU pack"
key=$(kernel_key "=$kernel_version $firmware_suite ${drivers[*]}" "=$(declare -f firmware_package take_firmware)")
cached gpu-pack "$key" "$2" build
