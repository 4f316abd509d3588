#!/usr/bin/env bash
# Builds a GPU pack: the files that a VM needs for a passed GPU. The guest's kernel with modules, the GPU drivers among them,
# their firmware, and the parts that the image's Mesa lacks, each with its licence.
# Usage: [GPU_DRIVERS="amdgpu i915 xe nouveau"] scripts/build-gpu-pack.sh KERNEL ROOTFS OUT
#   KERNEL  the folder of build-kernel.sh: the pack's kernel is of the same version
#   ROOTFS  the folder of build-rootfs.sh: the parts that its Mesa lacks for physical GPUs are added
#   OUT     the folder for vmlinux, gpu-pack.img (squashfs), licences/ and manifest.json
# Half an hour on 2 cores with all drivers; GPU_DRIVERS="amdgpu" makes a pack for one vendor.
#
# The kernel's configuration is the guest's, with docker/kernel/gpu-pack/common.config and a fragment for each driver.
# The kernel has its own entry in the build cache (gpu-kernel), so newer firmware does not rebuild it.
# The image has modules/RELEASE (with depmod's indices), firmware/, licences/ and, for a guest of Debian's,
# debian-SUITE/, whose files the guest links into its root. Squashfs compresses it as a whole, so the kernel needs no
# decompression of modules and firmware.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH
# shellcheck source=scripts/kernel.sh
. "$REPO/scripts/kernel.sh"

fragments_path=$REPO/docker/kernel/gpu-pack
firmware_suite=trixie
# Vulkan, which OpenGL on NVIDIA's GPUs uses, and the whole LLVM, which Vulkan and OpenGL on AMD's GPUs need.
mesa_package=mesa-vulkan-drivers

# firmware_package DRIVER: prints Debian's package with its firmware; NVIDIA's is for the GSP.
firmware_package() {
    case $1 in
    amdgpu) echo firmware-amd-graphics ;;
    i915 | xe) echo firmware-intel-graphics ;;
    nouveau) echo firmware-nvidia-graphics ;;
    esac
}

# take_firmware FILES TO NAME...: copies the files of these names, which the modules request, and prints the missing names: a
# driver requests files for GPUs that were never sold, and several versions of each file.
take_firmware() {
    local from=$1 to=$2 name
    shift 2
    for name in "$@"; do
        # A name may be a pattern.
        # shellcheck disable=SC2086
        (cd "$from" && cp -L --parents --preserve=mode -t "$to" -- $name 2>/dev/null) || echo "$name"
    done
}

# The kernel and its modules.
build() (
    local dir=$1 work=$1/work package release
    need apt-get dpkg-deb gcc make flex bison bc xz strip jq depmod
    mkdir -p "$work/root/usr/lib"
    cd "$work"
    ln -s usr/lib root/lib # depmod uses one of the two, depending on its version
    package=$(fetch_kernel "$work/apt" "$kernel_version")
    configure_kernel "${fragments[@]}"
    say "building ${package#* } with ${drivers[*]} and $(nproc) jobs; this takes a while"
    kernel_make linux -j"$(nproc)" vmlinux modules
    "${tools}strip" -s -o "$dir/vmlinux" linux/vmlinux
    kernel_make linux INSTALL_MOD_PATH="$work/root" INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
    rm -f root/lib/modules/*/{build,source}
    release=$(basename root/lib/modules/*)
    depmod -b "$work/root" "$release"
    mv root/usr/lib/modules "$dir/modules"
    mkdir "$dir/licences"
    cp -R linux/COPYING linux/LICENSES "$dir/licences/"
    jq -n --arg package "$package" --arg release "$release" '{component: "gpu-kernel", $package, $release}' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$work"
)

# unpack_package DEB TO: unpacks its files, copies its licence to image/licences, and prints its entry for the manifest.
unpack_package() {
    local name
    name=$(dpkg-deb -f "$1" Package)
    dpkg-deb -x "$1" "$2"
    install -Dm644 "$2/usr/share/doc/$name/copyright" "image/licences/$name/copyright"
    jq -n --arg name "$name" --arg version "$(dpkg-deb -f "$1" Version)" --arg licence "licences/$name/copyright" \
        '{$name, $version, $licence}'
}

# take_mesa SUITE MANIFEST: puts the packages that $mesa_package needs and the root filesystem of this manifest lacks into
# image/debian-SUITE.
take_mesa() {
    local suite=$1 manifest=$2 lacking deb libraries to=image/debian-$1
    private_apt "$PWD/apt-mesa" "$suite" "$suite-updates" "$suite-security"
    mapfile -t lacking < <(apt-get "${apt_opts[@]}" --simulate install "$mesa_package" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' |
        grep -vxFf <(jq -r '.packages | keys[]' "$manifest"))
    say "fetching ${lacking[*]}"
    mkdir mesa-debs
    (cd mesa-debs && apt-get "${apt_opts[@]}" -qq download "${lacking[@]}")
    for deb in mesa-debs/*.deb; do unpack_package "$deb" mesa; done
    mkdir -p "$to/usr/share"
    cp -R mesa/usr/lib "$to/usr/"
    cp -R mesa/usr/share/{vulkan,drirc.d} "$to/usr/share/"
    # The image's Mesa links its own, smaller LLVM by this name (scripts/rootfs/llvm.sh).
    libraries=("$to"/usr/lib/*/libLLVM.so.*)
    ln -s "$(basename "${libraries[0]}")" "$(dirname "${libraries[0]}")/libLLVM-mesa.so"
}

assemble() (
    local dir=$1 work=$1/work kernel=$1/kernel release packages=() wanted missing name suite
    need apt-get dpkg-deb jq modinfo mksquashfs
    # In a subshell, as `cached` has a trap of its own.
    (cached gpu-kernel "$key_of_kernel" "$kernel" build)
    mkdir -p "$work"/{firmware,image/{firmware,licences/linux}}
    cd "$work"
    mv "$kernel/vmlinux" "$dir/"
    mv "$kernel/modules" image/
    cp -R "$kernel/licences/." image/licences/linux/
    release=$(jq -r .release "$kernel/manifest.json")
    jq '.package | split(" ") | {name: .[0], version: .[1], licence: "licences/linux/COPYING"}' "$kernel/manifest.json" >packages

    mapfile -t packages < <(for name in "${drivers[@]}"; do firmware_package "$name"; done | sort -u)
    if ((${#packages[@]})); then
        say "fetching ${packages[*]}"
        components="non-free-firmware" private_apt "$work/apt-firmware" "$firmware_suite"
        apt-get "${apt_opts[@]}" -qq download "${packages[@]}"
        for name in "${packages[@]}"; do unpack_package "$name"_*.deb firmware >>packages; done
        mapfile -t wanted < <(find image/modules -name '*.ko' -exec modinfo -F firmware {} + | sort -u)
        missing=$(take_firmware firmware/usr/lib/firmware "$work/image/firmware" "${wanted[@]}")
    fi
    suite=$(debian_suite "$rootfs")
    [ -z "$suite" ] || take_mesa "$suite" "$rootfs" >>packages

    cp -R image/licences "$dir/"
    find image -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # Reproducible by default; SOURCE_DATE_EPOCH is the time of the filesystem itself.
    mksquashfs image "$dir/gpu-pack.img" -comp zstd -Xcompression-level 19 -b 256K -all-root -no-xattrs -noappend \
        -quiet -no-progress >&2
    jq -s --arg arch "$ARCH" --arg version "${kernel_version%-*}" --arg release "$release" --arg mesa_of "$suite" \
        --arg drivers "${drivers[*]}" --arg missing "${missing-}" \
        --argjson modules "$(find image/modules -name '*.ko' | wc -l)" \
        --argjson firmware "$(find image/firmware -type f | wc -l)" '{
            component: "gpu-pack", $arch, $version, $release, drivers: ($drivers / " "), $modules, packages: ., $mesa_of,
            firmware_files: $firmware, firmware_not_in_debian: ($missing / "\n" | map(select(. != "")))
        }' packages >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$work" "$kernel"
)

# debian_suite MANIFEST: prints the suite of a root filesystem; nothing for another flavour, which has the whole Mesa.
debian_suite() { jq -r 'select(.flavour == "debian").suite' "$1"; }

(($# == 3)) || die "usage: build-gpu-pack.sh KERNEL ROOTFS OUT"
[ "$ARCH.$SUITE" = x86_64.trixie ] || die "there is no GPU pack for ARCH=$ARCH SUITE=$SUITE (x86_64, trixie)"
need gcc jq
read -ra drivers <<<"${GPU_DRIVERS:-amdgpu i915 xe nouveau}"
fragments=("${kernel_fragments[@]}" "$fragments_path/common.config")
for name in "${drivers[@]}"; do
    [ -r "$fragments_path/$name.config" ] || die "GPU_DRIVERS: there is no $name.config in $fragments_path"
    fragments+=("$fragments_path/$name.config")
done
kernel_version=$(jq -er '.package | split(" ")[1]' "$1/manifest.json") || die "no kernel in $1; run: make assets"
rootfs=$(realpath -e "$2/manifest.json") || die "no root filesystem in $2; run: make assets"
# An older GPU pack is replaced as a whole.
[ ! -e "$3" ] || jq -e '.component == "gpu-pack"' "$3/manifest.json" >/dev/null 2>&1 || die "$3 exists and is not a GPU pack"
key_of_kernel=$(kernel_key "=$kernel_version ${drivers[*]}")
key=$(inputs_key "=$key_of_kernel $firmware_suite $mesa_package" "=$(debian_suite "$rootfs")" \
    "=$(jq -r '.packages | keys[]' "$rootfs")" \
    "=$(declare -f assemble unpack_package take_mesa firmware_package take_firmware private_apt)")
cached gpu-pack "$key" "$3" assemble
