# shellcheck shell=bash disable=SC2034,SC2154 # read by who sources this; apt_opts comes from private_apt
# The guest's kernel from Debian's source package: fetched, configured, made. Sourced after lib.sh by build-kernel.sh and
# build-gpu-pack.sh.
#
# Which configuration: what the fragments name, and what that selects. allnoconfig answers "no" to every other
# question (tinyconfig is that too, over a fragment of its own that asks for -Os and a tiny slab allocator). Kconfig
# drops silently what it can't set, so check-kernel-config.sh looks before the compiler starts.
kernel_package=linux-source-6.12
kernel_suites=(trixie trixie-updates trixie-security)
kernel_fragments=("$REPO"/docker/kernel/{,"$ARCH"/}*.config)
tools=$(tool_prefix)
case $ARCH in
x86_64) kernel_arch=x86_64 image=vmlinux ;;
aarch64) kernel_arch=arm64 image=arch/arm64/boot/Image ;;
esac

# fetch_kernel APT [VERSION]: Debian's source, in this version or else the newest, into ./linux; says the package's name
# and version. APT is a folder of private_apt's.
fetch_kernel() {
    private_apt "$1" "${kernel_suites[@]}"
    say "fetching $kernel_package ${2-}"
    apt-get "${apt_opts[@]}" -qq download "$kernel_package${2+=$2}" ||
        die "the archive has no $kernel_package ${2-}: remove kernel/ from $(build_cache_path), and build the kernel anew"
    dpkg-deb --fsys-tarfile "$kernel_package"_*.deb | tar -xO "./usr/src/$kernel_package.tar.xz" |
        tar -xJ --strip-components=1 --one-top-level=linux
    echo "$kernel_package $(dpkg-deb -f "$kernel_package"_*.deb Version)"
}

# configure_kernel FRAGMENT...: ./linux/.config, which is what the fragments ask for.
configure_kernel() {
    cat "$@" >asked.config
    kernel_make linux KCONFIG_ALLCONFIG="$PWD/asked.config" allnoconfig
    "$REPO/scripts/check-kernel-config.sh" "$@" linux/.config
}

# kernel_make TREE ARGUMENT...: make in an empty environment, as variables and flags of an outer make would reach
# the kernel's Makefile. User, host and time of the build stand in the kernel's banner, hence fixed ones; a Rust
# compiler or pahole that happens to be installed would leave its version in /proc/config.gz, hence none.
kernel_make() {
    env -i PATH="$PATH" LC_ALL=C ARCH="$kernel_arch" CROSS_COMPILE="$tools" \
        KBUILD_BUILD_USER=virtualghost KBUILD_BUILD_HOST=virtualghost KBUILD_BUILD_VERSION=1 \
        KBUILD_BUILD_TIMESTAMP="$(date -u -d "@$SOURCE_DATE_EPOCH")" make -s RUSTC=false PAHOLE=false -C "$@"
}

# kernel_key INPUT...: the key (see inputs_key) of what the caller's function `build` makes of these inputs and a kernel
# of its `fragments`. Only what can change the kernel counts: the options without their comments, and the functions that
# fetch and build. A better comment must not cost a kernel.
kernel_key() {
    inputs_key "=$(grep -h '^CONFIG_' "${fragments[@]}" | sort)" "=$kernel_package ${kernel_suites[*]}" \
        "=$(declare -f build fetch_kernel configure_kernel kernel_make private_apt)" \
        "=$("${tools}gcc" --version | head -1)" "=$ARCH" "=$SOURCE_DATE_EPOCH" "$@"
}
