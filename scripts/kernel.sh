# shellcheck shell=bash disable=SC2034,SC2154 # read by who sources this; apt_opts comes from private_apt
# The guest's kernel from Debian's source package: fetched, configured, made. Sourced after lib.sh by build-kernel.sh and
# build-gpu-pack.sh.
#
# The configuration is the options of the fragments and those that they select. allnoconfig sets every other option to n
# (tinyconfig does too, after a fragment with -Os and a tiny slab allocator). Kconfig silently drops options that it cannot
# set, so check-kernel-config.sh runs before the compiler.
kernel_package=linux-source-6.12
kernel_suites=(trixie trixie-updates trixie-security)
kernel_fragments=("$REPO"/docker/kernel/{,"$ARCH"/}*.config)
tools=$(tool_prefix)
case $ARCH in
x86_64) kernel_arch=x86_64 image=vmlinux ;;
aarch64) kernel_arch=arm64 image=arch/arm64/boot/Image ;;
esac

# fetch_kernel APT [VERSION]: fetches Debian's source, by default the newest version, into ./linux, and prints the package's
# name and version. APT is a folder of private_apt.
fetch_kernel() {
    private_apt "$1" "${kernel_suites[@]}"
    say "fetching $kernel_package ${2-}"
    apt-get "${apt_opts[@]}" -qq download "$kernel_package${2+=$2}" ||
        die "the archive has no $kernel_package ${2-}; remove kernel/ from $(build_cache_path) and build the kernel again"
    dpkg-deb --fsys-tarfile "$kernel_package"_*.deb | tar -xO "./usr/src/$kernel_package.tar.xz" |
        tar -xJ --strip-components=1 --one-top-level=linux
    enlarge_key_queue linux/drivers/input/evdev.c
    echo "$kernel_package $(dpkg-deb -f "$kernel_package"_*.deb Version)"
}

# enlarge_key_queue EVDEV_C: gives programs that read a keyboard a queue of 1024 events instead of 64. A key that is pressed and
# released takes 4; a compositor that draws in software on an emulated processor may not read for two seconds, and the kernel
# empties a queue that is full. The size is a constant, which no option changes.
enlarge_key_queue() {
    sed -i 's/^\(#define EVDEV_MIN_BUFFER_SIZE\t\)64U$/\11024U/' "$1"
    grep -q '^#define EVDEV_MIN_BUFFER_SIZE[[:space:]]1024U$' "$1" ||
        die "$1 does not define EVDEV_MIN_BUFFER_SIZE as 64U; look for the queue's new size there, and correct scripts/kernel.sh"
}

# configure_kernel FRAGMENT...: makes ./linux/.config, and checks that it has every option of the fragments.
configure_kernel() {
    cat "$@" >asked.config
    kernel_make linux KCONFIG_ALLCONFIG="$PWD/asked.config" allnoconfig
    "$REPO/scripts/check-kernel-config.sh" "$@" linux/.config
}

# kernel_make TREE ARGUMENT...: runs make in an empty environment, because variables and flags of an outer make would reach
# the kernel's Makefile. User, host and time of the build are in the kernel's banner, so they are fixed. The versions of a
# Rust compiler and of pahole would be in /proc/config.gz, so both are off.
kernel_make() {
    env -i PATH="$PATH" LC_ALL=C ARCH="$kernel_arch" CROSS_COMPILE="$tools" \
        KBUILD_BUILD_USER=virtualghost KBUILD_BUILD_HOST=virtualghost KBUILD_BUILD_VERSION=1 \
        KBUILD_BUILD_TIMESTAMP="$(date -u -d "@$SOURCE_DATE_EPOCH")" make -s RUSTC=false PAHOLE=false -C "$@"
}

# kernel_key INPUT...: prints the key (inputs_key) of the caller's function `build` with these inputs and a kernel of its
# `fragments`. Only inputs that can change the kernel count: the options without comments, and the functions that fetch and
# build. So an edited comment does not rebuild the kernel.
kernel_key() {
    inputs_key "=$(grep -h '^CONFIG_' "${fragments[@]}" | sort)" "=$kernel_package ${kernel_suites[*]}" \
        "=$(declare -f build fetch_kernel configure_kernel kernel_make enlarge_key_queue private_apt)" \
        "=$("${tools}gcc" --version | head -1)" "=$ARCH" "=$SOURCE_DATE_EPOCH" "$@"
}
