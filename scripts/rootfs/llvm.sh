# shellcheck shell=bash
# Mesa's LLVM, without what Mesa never calls. Sourced by debian.sh.
#
# Debian's libLLVM is made for compilers, with twenty processors and, by way of libz3, a theorem prover: 157 MB. Mesa's
# llvmpipe needs its JIT for this processor alone. Debian's llvm-N-dev has the same objects as archives, of which the
# linker makes a library of what libgallium imports and what that calls in turn: 41 MB, which load faster too.
#
# dpkg knows of it: the library is the package libllvmN-mesa, on which a repacked mesa-libgallium depends instead of on
# libllvmN. That one keeps its version, since Mesa's other packages depend on exactly this one; apt sees that the
# archive's differs, so that `apt upgrade` takes Debian's with the whole LLVM. A program that needs libllvmN brings
# Debian's, and each finds its own: the sonames differ.

# trim_llvm ROOT: with apt_dir and apt_opts of debian_apt.
trim_llvm() {
    local root=$1 work=$1.llvm llvm version gallium
    llvm=$(dpkg-query --root="$root" -W -f '${Depends}' mesa-libgallium | grep -o 'libllvm[0-9]*')
    version=$(installed_version "$root" "$llvm")
    mkdir "$work"
    download "mesa-libgallium=$(installed_version "$root" mesa-libgallium)" "${llvm/libllvm/llvm-}-dev=$version"
    dpkg-deb -R "$(archive mesa-libgallium)" "$work/mesa"
    dpkg-deb --fsys-tarfile "$(archive "${llvm/libllvm/llvm-}-dev")" |
        tar -C "$work" -x --wildcards --transform='s,.*/,,' '*/lib/libLLVM*.a' '*/copyright'
    gallium=$(echo "$work"/mesa/usr/lib/*/libgallium-*.so)
    link_llvm "$root" "$gallium" "$work"

    patchelf --replace-needed "$(patchelf --print-needed "$gallium" | grep '^libLLVM')" "$mesa_llvm" "$gallium"
    sed -i -E "/^Depends:/ s/$llvm( \([^)]*\))?/$llvm-mesa/" "$work/mesa/DEBIAN/control"
    (cd "$work/mesa" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

    install -Dm644 "$work/$mesa_llvm" "$work/llvm/$(dirname "${gallium#"$work/mesa/"}")/$mesa_llvm"
    install -Dm644 "$work/copyright" "$work/llvm/usr/share/doc/$llvm-mesa/copyright"
    mkdir "$work/llvm/DEBIAN"
    cat >"$work/llvm/DEBIAN/control" <<END
Package: $llvm-mesa
Version: $version
Architecture: $(dpkg-deb -f "$(archive mesa-libgallium)" Architecture)
Maintainer: VirtualGhost
Section: libs
Priority: optional
Depends: libc6, libgcc-s1, libstdc++6, libzstd1, zlib1g
Description: the part of LLVM that Mesa's llvmpipe uses
END
    dpkg-deb --root-owner-group -Znone -b "$work/llvm" "$root/tmp/llvm.deb" >/dev/null
    dpkg-deb --root-owner-group -Znone -b "$work/mesa" "$root/tmp/mesa.deb" >/dev/null
    chroot "$root" dpkg --install /tmp/llvm.deb /tmp/mesa.deb >/dev/null
    chroot "$root" apt-mark auto "$llvm-mesa" >/dev/null
    chroot "$root" apt-get -qq -o Dpkg::Use-Pty=false --purge autoremove >/dev/null
    rm -r "$work" "$root"/tmp/{llvm,mesa}.deb
}

mesa_llvm=libLLVM-mesa.so

# link_llvm ROOT GALLIUM WORK: makes WORK/$mesa_llvm of WORK/*.a.
link_llvm() {
    local root=$1 gallium=$2 work=$3 libs symbol wanted=()
    libs=$(echo "$root"/usr/lib/*-linux-gnu)
    "$(tool_prefix)nm" -D --undefined-only --with-symbol-versions "$gallium" | awk '$2 ~ /@LLVM_/ {print $2}' | sort >"$work/imports"
    # The drivers of AMD's GPUs need a back end that is larger than all the rest.
    grep '^LLVMInitializeAMDGPU' "$work/imports" |
        stub_source "VirtualGhost's LLVM is without AMDGPU; for Debian's: sudo apt update && sudo apt upgrade" >"$work/stub.c"
    version_script <"$work/imports" >"$work/map"
    while IFS=@ read -r symbol _; do wanted+=("-Wl,-u,$symbol"); done <"$work/imports"
    "$(tool_prefix)gcc" -O2 -fPIC -fno-builtin -shared -nodefaultlibs -s -o "$work/$mesa_llvm" "$work/stub.c" -Wl,-soname,"$mesa_llvm" \
        -Wl,--build-id=none -Wl,--version-script="$work/map" -Wl,-Bsymbolic -Wl,-z,now -Wl,-z,pack-relative-relocs \
        -Wl,--gc-sections -Wl,--no-undefined "${wanted[@]}" \
        -Wl,--start-group "$work"/libLLVM*.a -Wl,--end-group -Wl,--as-needed \
        "$libs"/lib{stdc++.so.6,gcc_s.so.1,z.so.1,zstd.so.1,m.so.6,c.so.6} "$root/$(guest_loader)" -l:libc_nonshared.a
}

installed_version() { dpkg-query --root="$1" -W -f '${Version}' "$2"; }

# download PACKAGE=VERSION...: to the archives in the build cache; what is there already is not fetched again.
# shellcheck disable=SC2154 # apt_dir and apt_opts are debian_apt's
download() { (cd "$apt_dir/cache/archives" && apt-get "${apt_opts[@]}" -qq download "$@"); }

# archive PACKAGE: the one that was downloaded last.
archive() { find "$apt_dir/cache/archives" -name "$1_*.deb" -printf '%T@ %p\n' | sort -n | tail -n1 | cut -d' ' -f2-; }
