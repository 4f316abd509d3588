#!/usr/bin/env bash
# The QEMU bundles of macOS and Windows, made here: the systems' tools are stubs that log their calls and work on text.
# Usage: tests/build/qemu-other.sh [macos|windows|others|--mutants [WORDS]]
#   --mutants   breaks the scripts, one thing at a time: the check named for each must fail; with WORDS only checks
#               whose names contain them
#
# An object is a text file. Of a Mach-O one the stubs read and write the lines `#id NAME`, `#lib NAME`, `#rpath PATH`,
# `#archs NAMES` and `#signed ENTITLEMENTS`; their output has the form of otool's (compared with LLVM's on
# objects linked by zig: header lines with a colon, every slice of a universal library listed). Of a DLL objdump's stub
# reads `#dll NAME`. QEMU itself is a script as well, which answers -version and -L help.
# shellcheck disable=SC2016 # what is for a stub or for sed is not for this shell
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need jq
# A mutant's run ends at the first failed check.
fail() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    if [ -n "${UNTIL:-}" ] && [[ $* == "$UNTIL"* ]]; then exit 1; fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=${TREE:-$REPO} # the scripts under test: a broken copy, for the mutants
stubs=$work/stubs log=$work/log
export STUB_LOG=$log STUB_WORK=$work
unset QEMU ARCH HOST_ARCH SYSTEMROOT MSYS2_ROOT

# command_stub NAME: makes a stub; its body is read from standard input.
command_stub() {
    mkdir -p "$stubs"
    { printf '#!/bin/bash\nprintf "%%s" "%s" >>"$STUB_LOG"; printf " %%s" "$@" >>"$STUB_LOG"; echo >>"$STUB_LOG"\n' "$1"; cat; } >"$stubs/$1"
    chmod +x "$stubs/$1"
}

# file PATH [LINE...]: makes an object or another file.
file() {
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$1"
}

# emulator PATH LINE...: makes a QEMU, which is an object too.
emulator() {
    file "$@"
    sed -i '1i #!/bin/bash\ncase $1 in -version) echo "QEMU emulator version 10.1.2" ;; -L) printf "%s\\n" $LIST ;; esac\nexit 0' "$1"
    sed -i "s,\$LIST,$qemu_list," "$1"
    chmod +x "$1"
}

# bundle NAME: makes a new bundle in $work/NAME; the stubs' calls are in $log.
bundle() {
    : >"$log"
    PATH=$stubs:$PATH VIRTUALGHOST_BUILD_CACHE=$work/cache-$1 "$tree/scripts/package-qemu.sh" "$work/$1" 2>"$work/said" ||
        { cat "$work/said" && return 1; }
}
again() { rm -rf "$work/cache-$1" "${work:?}/$1" && bundle "$1"; }

manifest() { jq -e "$2" "$work/$1/manifest.json"; }
logged() { grep -F -- "$1" "$log"; }
not_there() { [ ! -e "$1" ] && [ ! -L "$1" ]; }
same() { diff <(printf '%s\n' "$2") <(printf '%s\n' "$1"); }
# licence BUNDLE FILE: prints the text under that heading, without empty lines.
licence() { awk -v file="$2" '/^======== / {here = $2 == file; next} here && NF' "$work/$1/share/doc/licences.txt"; }
all_are_dated() { same "$(find "$1" -printf '%T@\n' | sort -u)" "$SOURCE_DATE_EPOCH.0000000000"; }

### macOS

macos_stubs() {
    rm -rf "$stubs"
    command_stub uname <<<'case $1 in -m) echo arm64 ;; *) echo Darwin ;; esac'
    command_stub brew <<<'[ "$*" = "--prefix qemu" ] && echo "$STUB_WORK/brew/opt/qemu"'
    command_stub lipo <<<'grep -q "^#archs" "$2" || exit 1; sed -n "s/^#archs //p" "$2"'
    command_stub otool <<'END'
archs=$(sed -n 's/^#archs \(.* .*\)/\1/p' "$2")
for arch in ${archs:-one}; do
    suffix=; [ "$arch" = one ] || suffix=" (architecture $arch)"
    case $1 in
    -L) echo "$2$suffix:"; sed -nE 's/^#(id|lib) (.*)/\t\2 (compatibility version 1.0.0, current version 1.0.0)/p' "$2" ;;
    -D) echo "$2$suffix:"; sed -n 's/^#id //p' "$2" ;;
    -l) echo "$2$suffix:"
        sed -n 's/^#rpath \(.*\)/Load command 17\n          cmd LC_RPATH\n      cmdsize 40\n         path \1 (offset 12)/p' "$2"
        printf 'Load command 18\n          cmd LC_SOURCE_VERSION\n      cmdsize 16\n  version 0.0\n' ;;
    *) exit 1 ;;
    esac
done
END
    command_stub install_name_tool <<'END'
object=${!#}
[ ! -e "$STUB_WORK/no-room" ] || { echo "error: larger updated load commands do not fit" >&2; exit 1; }
while (($# > 1)); do
    case $1 in
    -id) grep -q '^#id' "$object" || exit 1; sed -i "s,^#id .*,#id $2," "$object"; shift 2 ;;
    -change) grep -qxF "#lib $2" "$object" || exit 1; sed -i "s,^#lib $2\$,#lib $3," "$object"; shift 3 ;;
    -delete_rpath) grep -qxF "#rpath $2" "$object" || exit 1; sed -i "\\,^#rpath $2\$,d" "$object"; shift 2 ;;
    *) exit 1 ;;
    esac
done
sed -i '/^#signed/d' "$object"
END
    command_stub codesign <<'END'
case $* in
"--force --sign - "*) sed -i '/^#signed/d' "${!#}"; shift 3; entitlements=; [ "$1" != --entitlements ] || entitlements=$(grep -o 'com[.]apple[.]security[.]hypervisor' "$2")
    echo "#signed $entitlements" >>"${!#}" ;;
"--verify --strict "*) grep -q '^#signed' "${!#}" ;;
*) exit 1 ;;
esac
END
}

macos_world() {
    local brew=$work/brew cellar=$work/brew/Cellar name
    qemu_list=$cellar/qemu/10.1.2_1/share/qemu
    emulator "$cellar/qemu/10.1.2_1/bin/qemu-system-aarch64" "#archs arm64" "#signed" "#rpath @executable_path/../rpath" \
        "#lib $brew/opt/glib/lib/libglib-2.0.0.dylib" "#lib @rpath/libslirp.0.dylib" "#lib /usr/lib/libSystem.B.dylib" \
        "#lib /System/Library/Frameworks/Cocoa.framework/Versions/A/Cocoa" "#lib $brew/opt/fat/lib/libfat.1.dylib"
    for name in bios-256k.bin kvmvapic.bin pvh.bin linuxboot_dma.bin opensbi-riscv64-generic-fw_dynamic.bin; do
        file "$qemu_list/$name" "$name"
    done
    file "$cellar/qemu/10.1.2_1/lib/qemu/ui-opengl.dylib" "#lib $brew/opt/gettext/lib/libintl.8.dylib" "#lib /usr/lib/libSystem.B.dylib"
    file "$cellar/qemu/10.1.2_1/COPYING" GPL
    ln -sfn rpath "$cellar/qemu/10.1.2_1/lib/none"
    mkdir -p "$cellar/qemu/10.1.2_1/rpath"
    ln -sf "$cellar/libslirp/4.9.5/lib/libslirp.0.dylib" "$cellar/qemu/10.1.2_1/rpath/libslirp.0.dylib"
    file "$cellar/libslirp/4.9.5/lib/libslirp.0.dylib" "#id @rpath/libslirp.0.dylib" "#signed" "#rpath $brew/lib" \
        "#lib $brew/opt/glib/lib/libglib-2.0.dylib" "#lib /usr/lib/libresolv.9.dylib"
    file "$cellar/libslirp/4.9.5/COPYRIGHT" BSD
    file "$cellar/glib/2.86.1/lib/libglib-2.0.0.dylib" "#id $brew/opt/glib/lib/libglib-2.0.0.dylib" "#signed" \
        "#lib @loader_path/../../../gettext/0.26/lib/libintl.8.dylib" "#lib /usr/lib/libiconv.2.dylib"
    ln -sf libglib-2.0.0.dylib "$cellar/glib/2.86.1/lib/libglib-2.0.dylib" # the same library by another name
    file "$cellar/glib/2.86.1/LICENSE.txt" LGPL
    file "$cellar/gettext/0.26/lib/libintl.8.dylib" "#id $brew/opt/gettext/lib/libintl.8.dylib" "#signed"
    file "$cellar/gettext/0.26/COPYING" GPL
    file "$cellar/fat/1.0/lib/libfat.1.dylib" "#archs x86_64 arm64" "#id $brew/opt/fat/lib/libfat.1.dylib" "#rpath $brew/lib" "#signed"
    mkdir -p "$brew/opt"
    for name in qemu/10.1.2_1 glib/2.86.1 gettext/0.26 fat/1.0; do ln -sfn "$cellar/$name" "$brew/opt/${name%/*}"; done
}

# Every name in every object is macOS's own or relative to it, and the file is there.
names_resolve() {
    local object name bad=0
    [ -d "$work/mac/bin" ] || bad=1
    while IFS= read -r object; do
        while IFS= read -r name; do
            case $name in
            /usr/lib/* | /System/*) ;;
            @loader_path/*) [ -f "$(dirname "$object")/${name#*/}" ] || { echo "$object: no $name"; bad=1; } ;;
            *) echo "$object: $name"; bad=1 ;;
            esac
        done < <(sed -nE 's/^#(id|lib) //p' "$object")
        ! grep '^#rpath' "$object" || bad=1
    done < <(find "$work/mac/bin" "$work/mac/lib" -type f)
    return $bad
}

# In the log codesign's call is the last for each object, and the program's is the last of all.
signed_after_changes() {
    local object bad=0
    [ -d "$work/mac/bin" ] || bad=1
    while IFS= read -r object; do
        grep -E "^(install_name_tool|codesign --force) .*/${object##*/}\$" "$log" | tail -1 | grep -q '^codesign --force --sign - ' ||
            { echo "$object was changed after it was signed, or never signed"; bad=1; }
        grep -q '^#signed' "$object" || { echo "$object has no signature"; bad=1; }
    done < <(find "$work/mac/bin" "$work/mac/lib" -type f)
    return $bad
}
program_is_last() { grep '^codesign --force' "$log" | tail -1 | grep 'entitlements .*/bin/qemu-system-aarch64$'; }
# shellcheck disable=SC2317 # called through check
only_program_is_entitled() { same "$(grep -rl '^#signed com.apple.security.hypervisor' "$work/mac" | sed "s,$work/mac/,,")" bin/qemu-system-aarch64; }

macos() {
    local was
    macos_stubs
    macos_world
    check 'macOS: Homebrew gives a bundle' bundle mac
    cp "$work/said" "$work/said-first"
    check 'macOS: the manifest has what the launcher reads' manifest mac '.component == "qemu" and .version == "10.1.2" and
        .arch == "aarch64" and .program == "bin/qemu-system-aarch64" and .modules == "lib/qemu" and .data == "share/qemu"'
    check 'macOS: the manifest names the packages' manifest mac '.packages ==
        {"fat": "1.0", "gettext": "0.26", "glib": "2.86.1", "libslirp": "4.9.5", "qemu": "10.1.2_1"}'
    check 'macOS: the closure, each library once, and nothing of the system' same \
        "$(cd "$work/mac" && find bin lib -type f | sort)" "$(printf '%s\n' bin/qemu-system-aarch64 lib/libfat.1.dylib \
            lib/libglib-2.0.0.dylib lib/libintl.8.dylib lib/libslirp.0.dylib lib/qemu/ui-opengl.dylib)"
    check 'macOS: every name is relative to its object, and there' names_resolve
    check 'macOS: a library is renamed' logged "install_name_tool -id @loader_path/libglib-2.0.0.dylib -change @loader_path/../../../gettext/0.26/lib/libintl.8.dylib @loader_path/libintl.8.dylib"
    check 'macOS: run paths go, and the run path name of a library too' logged \
        "install_name_tool -id @loader_path/libslirp.0.dylib -delete_rpath $work/brew/lib -change $work/brew/opt/glib/lib/libglib-2.0.dylib @loader_path/libglib-2.0.0.dylib"
    check 'macOS: a universal library is changed once' logged "install_name_tool -id @loader_path/libfat.1.dylib -delete_rpath $work/brew/lib $work"
    check 'macOS: the program finds its libraries beside its folder' logged "-change @rpath/libslirp.0.dylib @loader_path/../lib/libslirp.0.dylib"
    check 'macOS: a module finds them above its folder' logged "-change $work/brew/opt/gettext/lib/libintl.8.dylib @loader_path/../libintl.8.dylib"
    check 'macOS: signed after every change' signed_after_changes
    check 'macOS: the program is signed last' program_is_last
    check 'macOS: the program has the entitlement, and nothing else has' only_program_is_entitled
    check 'macOS: the signature is verified' logged 'codesign --verify --strict'
    check 'macOS: no firmware for an aarch64 guest' same "$(ls "$work/mac/share/qemu")" ''
    check 'macOS: licences are there' same "$(for file in qemu/COPYING glib/LICENSE.txt gettext/COPYING; do licence mac "$file"; done)" \
        "$(printf '%s\n' GPL LGPL GPL)"
    check 'macOS: where none is found, it says so' same "$(licence mac fat/copyright)" \
        'fat 1.0: its licence is told by the system that it is from.'
    check 'macOS: every time stamp is fixed' all_are_dated "$work"/cache-mac/qemu/*/bin
    check 'macOS: the versions that were taken are printed' grep -q 'made of qemu 10.1.2, glib 2.86.1, libslirp 4.9.5$' "$work/said-first"
    check 'macOS: the second time it is the cache that gives it' bundle mac
    check 'macOS: ... and no tool is called' same "$(grep -c '^install_name_tool' "$log")" 0
    was=$work/mac-before && mv "$work/mac" "$was"
    check 'macOS: made twice, ...' again mac
    check 'macOS: ... it is the same' diff -r "$was" "$work/mac"
    QEMU=$work/brew/opt/qemu/bin/qemu-system-aarch64 check 'macOS: QEMU= gives a bundle without Homebrew' again mac
    check 'macOS: ... and brew is not asked' same "$(grep -c '^brew' "$log")" 0
    QEMU=$work/none refuses 'macOS: a QEMU= that is not there is named' "QEMU=$work/none is no file" again mac

    touch "$work/no-room"
    refuses 'macOS: no room for longer names: says which object' 'can.t change .*/Cellar/.*headerpad_max_install_names' again mac
    rm "$work/no-room"
    mv "$work/brew/Cellar/gettext/0.26/lib/libintl.8.dylib" "$work/aside"
    refuses 'macOS: a missing library is named, and what needs it, and what to type' \
        'libintl.8.dylib is nowhere.* (lib|bin)/.*needs it.*brew reinstall' again mac
    check 'macOS: ... and nothing is left' not_there "$work/mac"
    mv "$work/aside" "$work/brew/Cellar/gettext/0.26/lib/libintl.8.dylib"
    mv "$work/brew/Cellar/libslirp/4.9.5" "$work/brew/Cellar/libslirp/4.9.1"
    ln -sf "$work/brew/Cellar/libslirp/4.9.1/lib/libslirp.0.dylib" "$work/brew/Cellar/qemu/10.1.2_1/rpath/libslirp.0.dylib"
    refuses 'macOS: a version that is known to be bad is refused, with the reason and the fix' \
        'libslirp 4.9.1 is not bundled: CVE-.* fixed in 4.9.2: update it with your package manager' again mac
    mv "$work/brew/Cellar/libslirp/4.9.1" "$work/brew/Cellar/libslirp/4.9.5"
    ln -sf "$work/brew/Cellar/libslirp/4.9.5/lib/libslirp.0.dylib" "$work/brew/Cellar/qemu/10.1.2_1/rpath/libslirp.0.dylib"
    file "$work/brew/Cellar/other/1/lib/libintl.8.dylib"
    sed -i "1i #lib $work/brew/Cellar/other/1/lib/libintl.8.dylib" "$work/brew/Cellar/fat/1.0/lib/libfat.1.dylib"
    refuses 'macOS: two libraries of one name are refused' 'two libraries are called libintl.8.dylib: .*/Cellar/.*/Cellar/' again mac
    sed -i 1d "$work/brew/Cellar/fat/1.0/lib/libfat.1.dylib"
    sed -i 's/^#archs arm64/#archs x86_64/' "$work/brew/Cellar/qemu/10.1.2_1/bin/qemu-system-aarch64"
    refuses 'macOS: a QEMU for the other kind of Mac is refused' 'qemu-system-aarch64 is for x86_64, and arm64 is wanted' again mac
    sed -i 's/^#archs x86_64/#archs arm64/' "$work/brew/Cellar/qemu/10.1.2_1/bin/qemu-system-aarch64"
    rm "$work/brew/opt/qemu"
    refuses 'macOS: no QEMU: what to type' 'Type: brew install qemu' again mac
    rm "$stubs/codesign"
    refuses "macOS: no tools of Xcode's: what to type" 'not installed: codesign.*xcode-select --install' again mac
}

### Windows

windows_stubs() {
    rm -rf "$stubs"
    command_stub uname <<<'case $1 in -m) echo x86_64 ;; *) echo MSYS_NT-10.0-22631 ;; esac'
    command_stub cygpath <<<'[ "$1" = -u ] && sed -E "s,^[A-Z]:\\\\,$STUB_WORK/c/,; s,\\\\,/,g" <<<"$2"'
    command_stub objdump <<'END'
grep -q '^#' "$2" || { echo "objdump: $2: file format not recognized" >&2; exit 1; }
printf '\r\n%s:     file format pei-x86-64\r\n\r\nThe Import Tables (interpreted .idata section contents)\r\n' "$2"
sed -n 's/^#dll \(.*\)/\n\tDLL Name: \1\r\n\tvma:  Hint\/Ord Member-Name Bound-To\r/p' "$2"
END
    command_stub pacman <<'END'
case $1 in
-Qqo) case $2 in */qemu/* | */qemu-system*) name=qemu ;; */libEGL* | */libGLES*) name=angleproject ;; *d3dcompiler*) exit 1 ;; *) name=glib2 ;; esac
    echo "mingw-w64-ucrt-x86_64-$name" ;;
-Q) echo "$2 2.0-1" ;;
esac
END
}

windows_world() {
    local bin=$work/msys/ucrt64/bin name
    export MSYS2_ROOT=$work/msys
    qemu_list='C:\\\\msys\\\\qemu-data\\r'
    emulator "$bin/qemu-system-x86_64.exe" "#dll KERNEL32.dll" "#dll libglib-2.0-0.dll" "#dll api-ms-win-crt-heap-l1-1-0.dll" \
        "#dll SDL2.dll" "#dll OPENGL32.dll" "#dll ZLIB1.dll"
    for name in bios-256k.bin kvmvapic.bin pvh.bin linuxboot_dma.bin; do file "$work/msys/ucrt64/share/qemu/$name" "$name"; done
    file "$bin/libglib-2.0-0.dll" "#dll libintl-8.dll" "#dll WS2_32.dll"
    file "$bin/libintl-8.dll" "#dll KERNEL32.dll" "#dll libglib-2.0-0.dll" # a circle
    file "$bin/sdl2.dll" "#dll USER32.dll"                                 # its name has another case than in the objects that need it
    file "$bin/zlib1.dll" "#dll msvcrt.dll"
    file "$bin/opengl32.dll" "#dll KERNEL32.dll" # Mesa's
    file "$bin/libEGL.dll" "#dll libGLESv2.dll"
    file "$bin/libGLESv2.dll" "#dll libc++.dll"
    file "$bin/libc++.dll" "#dll KERNEL32.dll"
    file "$bin/d3dcompiler_47.dll" "#dll KERNEL32.dll"
    file "$bin/unrelated.dll" "#dll KERNEL32.dll"
    file "$work/msys/ucrt64/lib/qemu/ui-sdl.dll" "#dll libjpeg-8.dll"
    file "$bin/libjpeg-8.dll" "#dll KERNEL32.dll"
    file "$work/msys/ucrt64/share/licenses/qemu/COPYING" GPL
    file "$work/msys/ucrt64/share/licenses/glib2/LGPL" LGPL
    for name in kernel32 ws2_32 user32 msvcrt zlib1 opengl32; do file "$work/c/Windows/System32/$name.dll" "#system"; done
}

windows() {
    local was
    windows_stubs
    windows_world
    check 'Windows: MSYS2 gives a bundle' bundle win
    check 'Windows: the manifest has what the launcher reads' manifest win '.component == "qemu" and .version == "10.1.2" and
        .program == "bin/qemu-system-x86_64.exe" and .modules == "lib/qemu" and .data == "share/qemu"'
    check 'Windows: the manifest names the packages' manifest win '.packages | keys ==
        ["mingw-w64-ucrt-x86_64-angleproject", "mingw-w64-ucrt-x86_64-glib2", "mingw-w64-ucrt-x86_64-qemu"]'
    check 'Windows: the closure beside the program, with ANGLE, and nothing of the system' same \
        "$(cd "$work/win" && find bin lib -type f | sort)" "$(printf '%s\n' bin/d3dcompiler_47.dll bin/libEGL.dll bin/libGLESv2.dll \
            bin/libc++.dll bin/libglib-2.0-0.dll bin/libintl-8.dll bin/libjpeg-8.dll bin/qemu-system-x86_64.exe bin/sdl2.dll \
            bin/zlib1.dll lib/qemu/ui-sdl.dll)"
    check 'Windows: what lies beside QEMU and in System32 is taken from beside QEMU' grep -q msvcrt "$work/win/bin/zlib1.dll"
    check 'Windows: every object was read' same "$(grep -c '^objdump -p' "$log")" 11
    check 'Windows: there is no link' same "$(find "$work/win" -type l)" ''
    check 'Windows: the firmware is there' same "$(ls "$work/win/share/qemu")" \
        "$(printf '%s\n' bios-256k.bin kvmvapic.bin linuxboot_dma.bin pvh.bin)"
    check 'Windows: licences are there' same "$(for file in qemu/COPYING glib2/LGPL; do licence win "mingw-w64-ucrt-x86_64-$file"; done)" "$(printf '%s\n' GPL LGPL)"
    check 'Windows: every time stamp is fixed' all_are_dated "$work"/cache-win/qemu/*/bin
    was=$work/win-before && mv "$work/win" "$was"
    check 'Windows: made twice, ...' again win
    check 'Windows: ... it is the same' diff -r "$was" "$work/win"

    rm "$work/msys/ucrt64/bin/libEGL.dll"
    check 'Windows: without ANGLE it is made, ...' again win
    check 'Windows: ... and says what to type for OpenGL' grep -q 'no libegl.dll beside QEMU.*pacman -S .*angleproject' "$work/said"
    file "$work/msys/ucrt64/bin/libEGL.dll" "#dll libGLESv2.dll"
    rm "$work/msys/ucrt64/bin/libc++.dll"
    refuses 'Windows: a missing library is named, and what needs it, and what to type' \
        'libc\+\+.dll is nowhere.* bin/libGLESv2.dll .*needs it. Type: pacman -S' again win
    check 'Windows: ... and nothing is left' not_there "$work/win"
    file "$work/msys/ucrt64/bin/libc++.dll" "no object"
    refuses 'Windows: what objdump can not read is named' "can't read what .*/libc\+\+.dll links" again win
    file "$work/msys/ucrt64/bin/libc++.dll" "#dll KERNEL32.dll"
    mkdir -p "$work/c/q" && mv "$work/msys/ucrt64" "$work/c/q/ucrt64"
    refuses 'Windows: no QEMU: where it was looked for, and what to type' 'msys/ucrt64/bin or .*/mingw64/bin.*pacman -S .*-qemu' again win
    QEMU='C:\q\ucrt64\bin\qemu-system-x86_64.exe' check "Windows: QEMU= may be a path in Windows' way" again win
    mv "$work/c/q/ucrt64" "$work/msys/mingw64"
    check 'Windows: /mingw64 does too' again win
    rm -r "$work/c/Windows"
    refuses 'Windows: no System32: says so' 'no library in C:.Windows.System32' again win
}

others() {
    rm -rf "$stubs"
    command_stub uname <<<'case $1 in -m) echo x86_64 ;; *) echo FreeBSD ;; esac'
    refuses 'another system is told what can be done where' 'this is FreeBSD' bundle other
    command_stub uname <<<'case $1 in -m) echo riscv64 ;; *) echo Darwin ;; esac'
    refuses 'a machine without a guest is refused' 'no guests for ARCH=riscv64' bundle other
}

# mutant PROMISE FILE SED: FILE changed by SED breaks PROMISE.
mutant() {
    local copy=$work/mutant part=others
    [[ $1 == *"$only"* ]] || return 0
    case $1 in macOS:*) part=macos ;; Windows:*) part=windows ;; esac
    rm -rf "$copy"
    mkdir -p "$copy/assets" "$copy/docker"
    cp -r "$REPO/docker/qemu" "$copy/docker/"
    cp -r "$REPO/scripts" "$copy/"
    cp -r "$REPO/assets/qemu" "$copy/assets/"
    sed -i -E "$3" "$copy/scripts/$2"
    ! cmp -s "$copy/scripts/$2" "$REPO/scripts/$2" || { fail "mutant: '$3' changes nothing in $2" && return; }
    refuses "noticed: $3 ($2)" "FAILED: $1" env TREE="$copy" UNTIL="$1" bash "$REPO/tests/build/qemu-other.sh" "$part"
}

mutants() {
    local mac=qemu/macos.sh win=qemu/windows.sh all=package-qemu.sh
    mutant 'macOS: Homebrew gives' $mac 's/brew --prefix qemu/brew --prefix/'
    mutant 'macOS: the manifest has' $mac 's,modules_in=lib/qemu,modules_in=lib/modules,'
    mutant 'macOS: the manifest names' $mac 's,/Cellar/,/Keller/,'
    mutant 'macOS: the closure' $mac 's/found=\$\(realpath -e "\$path"/found=$(ls "$path"/'
    mutant 'macOS: the closure' qemu-bundle.conf "s,^macos_host_libraries=.*,macos_host_libraries=('/usr/lib/*'),"
    mutant 'macOS: every name' $mac 's,relink "\$bundle/\$program" @loader_path/\.\./lib/,:,'
    mutant 'macOS: a library is renamed' $mac 's/changes\+=\(-id .*/:/'
    mutant 'macOS: run paths go' $mac 's/changes\+=\(-delete_rpath "\$path"\)/:/'
    mutant 'macOS: a universal library' $mac 's/if \(!seen\[\$0\]\+\+\) print/print/'
    mutant 'macOS: the program finds' $mac 's,program" @loader_path/\.\./lib/,program" @loader_path/,'
    mutant 'macOS: a module finds' $mac 's,@loader_path/\.\./ ;;,@loader_path/ ;;,'
    mutant 'macOS: signed after' $mac 's,^    relink "\$bundle/\$program".*,,; s,^    codesign --verify,    relink "$bundle/$program" @loader_path/../lib/\n&,'
    mutant 'macOS: signed after' $mac 's/for object in "\$\{inner\[@\]\}"; do sign "\$object"; done//'
    mutant 'macOS: the program is signed last' $mac 's,^(    for object .*sign "\$object".*),#\1,; s,^    codesign --verify,    for object in "${inner[@]}"; do sign "$object"; done\n&,'
    mutant 'macOS: the program has the entitlement' $mac 's/ --entitlements "\$entitlements"//'
    mutant 'macOS: the program has the entitlement' $mac 's/do sign "\$object"; done/do sign "$object" --entitlements "$entitlements"; done/'
    mutant 'macOS: the signature is verified' $mac 's/^    codesign --verify.*//'
    mutant 'macOS: a version that is known' qemu/known-bad.sh 's/^            die/            say/'
    mutant 'macOS: the versions' qemu/known-bad.sh 's/^    say "made/    : "made/'
    mutant 'macOS: no firmware' $all 's/for name in "\$\{firmware\[@\]\}"; do/for name in "${firmware[@]}" opensbi-riscv64-generic-fw_dynamic.bin; do/'
    mutant 'macOS: licences' $mac "s/-o -iname 'COPYING\*'//"
    mutant 'macOS: where none is found' $all 's/^    printf .*its licence is told.*//'
    mutant 'macOS: every time stamp' $all 's/^    find "\$bundle" -exec touch.*//'
    mutant 'macOS: the second time' lib.sh 's/say "\$component: from the build cache/die "/'
    mutant 'macOS: ... and no tool' lib.sh 's,if \[ ! -f "\$entry/manifest.json" \],if true,'
    mutant 'macOS: ... it is the same' $all 's/printf .*its licence is told/date +%N >"$bundle\/share\/doc\/time"; &/'
    mutant 'macOS: QEMU= gives' $mac 's/QEMU=\$QEMU is no file"/&; die no/'
    mutant 'macOS: a QEMU= that' $mac 's/QEMU=\$QEMU is no file/no/'
    mutant 'macOS: no room' $mac 's/-headerpad_max_install_names//'
    mutant 'macOS: a missing library' $all 's/die "\$name is nowhere/die "a library is nowhere/'
    mutant 'macOS: ... and nothing is left' lib.sh 's,^    mkdir -p "\$cache"$,&; mkdir -p "$out",'
    mutant 'macOS: two libraries' $all 's/die "two libraries/: "two libraries/'
    mutant 'macOS: a QEMU for the other' $mac 's/\[\[ " \$is " ==/[[ x ]] || [[ " $is " ==/'
    mutant 'macOS: no QEMU' $mac 's/Type: brew install qemu/No QEMU/'
    mutant 'macOS: no tools' $mac 's/otool install_name_tool codesign lipo/otool/'
    mutant 'Windows: MSYS2 gives' $win 's/tr -d .\\r. <<<"\$list"/cat <<<"$list"/'
    mutant 'Windows: the manifest names' $all 's/^    name=\$\(pacman -Qqo.*/    return 0/'
    mutant 'Windows: the closure' $win 's/run_time_libraries\+=\(.*/:/'
    mutant 'Windows: the closure' $all 's/^    for name in "\$\{run_time_libraries.*//'
    mutant 'Windows: the closure' qemu-bundle.conf 's/ opengl32.dll vulkan/ vulkan/'
    mutant 'Windows: the closure' $win 's/found=\$\{located\[\$\{1,,\}\]/found=${located[$1]/'
    mutant 'Windows: the closure' $win 's/libraries=bin/libraries=lib/'
    mutant 'Windows: what lies beside' $win 's/\[ -z "\$\{located\[\$name\]:-\}" \] && \[ -n/[ -n/'
    mutant 'Windows: every object was read' $all 's/^        queue\+=\("\$target"\)//'
    mutant 'Windows: every time stamp' $all 's/^    find "\$bundle" -exec touch.*//'
    mutant 'Windows: there is no link' $all 's/cp -L --no-preserve=mode "\$1" "\$2"/ln -s "$1" "$2"/'
    mutant 'Windows: licences' $all 's/s\/\^mingw-w64-/s\/^none-/'
    mutant 'Windows: ... and says what to type' $win 's/say "there is no/: "there is no/'
    mutant 'Windows: a missing library' $win 's/^remedy=.*/remedy=/'
    mutant 'Windows: what objdump' $win 's/list=\$\(objdump -p "\$1"\) \|\| return 1/list=$(objdump -p "$1") || :/'
    mutant 'Windows: QEMU= may' $win 's/\$\(cygpath -u "\$QEMU"\)/$QEMU/'
    mutant 'Windows: /mingw64' $win 's/\{ucrt64,mingw64\}/{ucrt64,none}/'
    mutant 'Windows: no System32' $win 's/^    \(\(\$\{#in_windows.*//'
    mutant 'another system' $all 's/^\*\) die .*/*) os=linux ;;/'
    mutant 'a machine without' lib.sh 's/^\*\) die "there are no guests.*/*) ARCH=x86_64 ;;/'
}

case ${1:-} in
--mutants) only=${2:-} && mutants ;;
macos | windows | others) "$1" ;;
*) macos && windows && others ;;
esac
finish
