# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # shares variables with scripts/package-qemu.sh, which sources it
# The QEMU bundle on Windows, made in MSYS2's shell: bin/ (the program, and its libraries beside it, where Windows'
# loader looks first), lib/qemu/ (modules, if QEMU has any), share/qemu/ (firmware). No links, as they ask for a privilege.
#
# QEMU is MSYS2's (/ucrt64, else /mingw64), or the one of QEMU=PATH. The libraries are found by following the "DLL Name"
# lines of `objdump -p`: first beside QEMU, so that what some other program has put into System32 is not taken for a part
# of Windows; what is only in System32 is one. ANGLE (OpenGL by Direct3D) is loaded at run time only, so named in
# scripts/qemu-bundle.conf.

need jq objdump cygpath pacman
emulator+=.exe
program=bin/$emulator
libraries=bin modules_in=lib/qemu module_suffix=.dll
licence_names=(-type f) # in a folder for licences
sources=()
remedy="Type: pacman -S mingw-w64-ucrt-x86_64-qemu, or say QEMU=/path/to/$emulator"

choose_source() {
    local path
    if [ -n "${QEMU:-}" ]; then
        system_qemu=$(realpath -e "$(cygpath -u "$QEMU")") || die "QEMU=$QEMU is no file"
        return
    fi
    for path in "$MSYS2_ROOT"/{ucrt64,mingw64}/bin/"$emulator"; do
        [ ! -f "$path" ] || { system_qemu=$path && return; }
    done
    die "there is no $emulator in $MSYS2_ROOT/ucrt64/bin or $MSYS2_ROOT/mingw64/bin. $remedy"
}
MSYS2_ROOT=${MSYS2_ROOT:-} # another root, for tests

# find_files: a library is known by its name in lower case: Windows' file systems don't tell the difference, objects do
# not agree on it.
find_files() {
    local path name folder=${system_qemu%/*}
    while IFS= read -r path; do
        case $path in
        *.bin) : "${located[${path##*/}]:=$path}" ;;
        *)
            name=${path##*/}
            : "${located[${name,,}]:=$path}"
            ;;
        esac
    done < <(
        find "$folder" -maxdepth 1 -iname '*.dll'
        {
            firmware_folders | while IFS= read -r path; do cygpath -u "$path"; done
            printf '%s\n' "${folder%/*}/lib/qemu"
        } | while IFS= read -r path; do
            find -L "$path" -maxdepth 1 \( -name '*.bin' -o -iname '*.dll' \) 2>/dev/null || true
        done)
    while IFS= read -r name; do in_windows[${name,,}]=1; done < <(
        find "$(cygpath -u "${SYSTEMROOT:-C:\\Windows}")/System32" -maxdepth 1 -iname '*.dll' -printf '%f\n')
    ((${#in_windows[@]})) || die "there is no library in ${SYSTEMROOT:-C:\\Windows}\\System32: is SYSTEMROOT right?"
    for name in "${windows_run_time_libraries[@]}"; do
        if [ -n "${located[$name]:-}" ]; then
            run_time_libraries+=("${located[$name]}")
        elif [ -z "${in_windows[$name]:-}" ]; then
            say "there is no $name beside QEMU: no OpenGL for the VM. Type: pacman -S mingw-w64-ucrt-x86_64-angleproject"
        fi
    done
    located[$emulator]=$system_qemu
    version=$(qemu_version)
}
declare -A in_windows=()

package_of() { pacman_package "$1" "${system_qemu%/bin/*}/share/licenses"; }

needed() {
    local list
    list=$(objdump -p "$1") || return 1
    tr -d '\r' <<<"$list" | sed -n 's/^[[:space:]]*DLL Name: //p' | sort -u
}

from_host() {
    local name=${1,,}
    if matches "$name" "${windows_host_libraries[@]}"; then return 0; fi
    [ -z "${located[$name]:-}" ] && [ -n "${in_windows[$name]:-}" ]
}

library_path() {
    found=${located[${1,,}]:-}
    [ -n "$found" ]
}

finish() { :; } # the loader looks beside the program
