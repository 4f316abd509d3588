#!/usr/bin/env bash
# Builds the guest's kernel from Debian's kernel source and the fragments in docker/kernel/: for x86_64 an ELF vmlinux
# that QEMU boots through PVH, for aarch64 a plain Image.
# Usage: [ARCH=x86_64|aarch64] scripts/build-kernel.sh OUT      (about 6 minutes on 2 cores)
#
# Which version: the newest of $package in $suites, asked for only when a build is due. A pinned version would
# vanish from the archive with the next security update. So the cache key holds the options, the package's name and
# the compiler, and manifest.json records the version that was taken. For a newer one, remove kernel/ from the cache.
#
# Which configuration: what the fragments name, and what that selects. allnoconfig answers "no" to every other
# question (tinyconfig is that too, over a fragment of its own that asks for -Os and a tiny slab allocator). Kconfig
# drops silently what it can't set, so check-kernel-config.sh looks before the compiler starts.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

package=linux-source-6.12
suites=(trixie trixie-updates trixie-security)
fragments=("$REPO"/docker/kernel/{,"$ARCH"/}*.config)
tools=$(tool_prefix)
case $ARCH in
x86_64) kernel_arch=x86_64 image=vmlinux ;;
aarch64) kernel_arch=arm64 image=arch/arm64/boot/Image ;;
esac

build() (
    local dir=$1 work=$1/work version
    need apt-get dpkg-deb gcc make flex bison bc xz jq
    mkdir "$work"
    private_apt "$work/apt" "${suites[@]}"
    cd "$work"
    say "fetching $package"
    apt-get "${apt_opts[@]}" -qq download "$package"
    version=$(dpkg-deb -f "$package"_*.deb Version)
    dpkg-deb --fsys-tarfile "$package"_*.deb | tar -xO "./usr/src/$package.tar.xz" |
        tar -xJ --strip-components=1 --one-top-level=linux
    cat "${fragments[@]}" >asked.config
    kernel_make linux KCONFIG_ALLCONFIG="$work/asked.config" allnoconfig
    "$REPO/scripts/check-kernel-config.sh" "${fragments[@]}" linux/.config
    say "building $version for $ARCH with $(nproc) jobs; this takes some minutes"
    kernel_make linux -j"$(nproc)" "${image##*/}"
    cp "linux/$image" "$dir/"
    [ "$image" != vmlinux ] || "${tools}strip" -s "$dir/vmlinux"
    jq -n --arg version "${version%-*}" --arg package "$package $version" --arg arch "$ARCH" \
        --argjson options "$(grep -c '^CONFIG_' asked.config)" \
        '{component: "kernel", $arch, $version, $package, config_options: $options}' >"$dir/manifest.json"
    cd "$dir"
    rm -rf "$work"
)

# kernel_make TREE ARGUMENT...: make in an empty environment, as variables and flags of an outer make would reach
# the kernel's Makefile. User, host and time of the build stand in the kernel's banner, hence fixed ones; a Rust
# compiler or pahole that happens to be installed would leave its version in /proc/config.gz, hence none.
kernel_make() {
    env -i PATH="$PATH" LC_ALL=C ARCH="$kernel_arch" CROSS_COMPILE="$tools" \
        KBUILD_BUILD_USER=virtualghost KBUILD_BUILD_HOST=virtualghost KBUILD_BUILD_VERSION=1 \
        KBUILD_BUILD_TIMESTAMP="$(date -u -d "@$SOURCE_DATE_EPOCH")" make -s RUSTC=false PAHOLE=false -C "$@"
}

(($# == 1)) || die "usage: build-kernel.sh OUT"
need "${tools}gcc" "${tools}strip"
# Only what can change the kernel counts: the options without their comments, and the functions that fetch and
# build. A better comment must not cost a kernel.
key=$(inputs_key "=$(grep -h '^CONFIG_' "${fragments[@]}" | sort)" "=$package ${suites[*]}" \
    "=$(declare -f build kernel_make private_apt)" "=$("${tools}gcc" --version | head -1)" "=$ARCH" "=$SOURCE_DATE_EPOCH")
cached kernel "$key" "$1" build
