#!/usr/bin/env bash
# Compiles QEMU in the chroot of scripts/qemu/build.sh, where /build has the scripts and QEMU's source: the program, its
# modules, and the library that is loaded first are in /build/out afterwards.
# Usage: scripts/qemu/compile.sh ARCH JOBS
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"
arch=$1 jobs=$2 source=$REPO/source out=$REPO/out
export PYTHONDONTWRITEBYTECODE=1
library=libvirtualghost-window.so

# listed PATTERN: the words of that form in the list's lines for this architecture.
listed() {
    sed 's/#.*//' "$REPO/docker/qemu/devices.list" | awk -v arch="[$arch]" 'NF && ($NF !~ /^\[/ || $NF == arch)' |
        tr -s ' ' '\n' | grep -xE -e "$1" | sort -u
}

# What costs nothing that a boot shows. Not control-flow integrity (--enable-cfi, by clang): QEMU's own manual excludes
# modules and the code that TCG makes (docs/devel/control-flow-integrity.rst), and without modules every start would load
# GTK and both toolkits' 40 libraries.
hardening=(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
[ "$HOST_ARCH" != x86_64 ] || hardening+=(-fcf-protection)
# shellcheck disable=SC2054 # the commas are the linker's
link=(-Wl,-z,relro -Wl,-z,now -Wl,--build-id=none)

# Before 2.34 threads and dlopen were libraries of their own.
gcc -O2 -Wall -Werror "${hardening[@]}" -fno-builtin -fPIC -shared "${link[@]}" -Wl,-soname,$library -Wl,--no-as-needed \
    -o "$out/$library" "$REPO"/assets/qemu/{window,old_hosts}.c -l:libpthread.so.0 -l:libdl.so.2
export LD_LIBRARY_PATH=$out # for what configure runs

cd "$source"
sed 's/#.*//' debian/patches/series | while read -r patch _; do
    [ -z "$patch" ] || patch --quiet -p1 --remove-empty-files <"debian/patches/$patch"
done
listed '[A-Z0-9_]+' | sed 's/.*/CONFIG_&=y/' >"configs/devices/$arch-softmmu/virtualghost.mak"
mapfile -t features <<<"$(listed '--enable-.*')"
formats=$(awk '$1 == "block" {print $2}' "$REPO/docker/qemu/devices.list" | paste -sd,)

mkdir "$REPO/build"
cd "$REPO/build"
# Assertions name their file: not by the folder of the build.
"$source/configure" --target-list="$arch-softmmu" --without-default-features --without-default-devices \
    --with-devices-"$arch"=virtualghost --block-drv-rw-whitelist="$formats" \
    --prefix=/usr --with-suffix=qemu --disable-install-blobs --disable-download --disable-werror --disable-debug-info \
    --enable-modules --enable-pie --enable-stack-protector --enable-malloc-trim --enable-membarrier --enable-trace-backends=nop "${features[@]}" --cc=gcc \
    --extra-cflags="-O2 -ffile-prefix-map=../source=/qemu -ffile-prefix-map=$source=/qemu ${hardening[*]}" \
    --extra-ldflags="-Wl,--no-as-needed,$out/$library,--as-needed -Wl,-rpath,\$ORIGIN/../lib ${link[*]}"
mapfile -t modules <<<"$(ninja -t targets all | sed -nE 's/^([a-z0-9_-]+\.so): .*/\1/p')"
ninja -j "$jobs" "qemu-system-$arch" "${modules[@]}"
cp "qemu-system-$arch" "${modules[@]}" "$out/"
