# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # shares variables with scripts/package-qemu.sh, which sources it
# The QEMU bundle on macOS: bin/, lib/, lib/qemu/ (modules, if QEMU has any), share/qemu/ (firmware).
#
# QEMU is Homebrew's, or the one of QEMU=/path. The libraries are found by following `otool -L`; what is part of
# macOS stays out. Each object then names the others relative to itself (@loader_path), its own run paths go, and it is
# signed anew, as any change breaks the signature that Apple Silicon asks for: libraries first, the program last, with
# the entitlement that HVF needs. The signature is ad hoc, so equal bytes give equal bundles, and no key is needed.

need jq
for tool in otool install_name_tool codesign lipo; do
    command -v $tool >/dev/null || die "not installed: $tool. Type: xcode-select --install"
done
program=bin/$emulator
libraries=lib modules_in=lib/qemu module_suffix=.dylib
licence_names=(-iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'NOTICE*')
entitlements=$REPO/assets/qemu/entitlements.plist
sources=("$entitlements")
remedy="Type: brew reinstall qemu, or say QEMU=/path/to/$emulator"

choose_source() {
    local is wanted=${HOST_ARCH/aarch64/arm64}
    if [ -n "${QEMU:-}" ]; then
        system_qemu=$(realpath -e "$QEMU") || die "QEMU=$QEMU is no file"
    else
        command -v brew >/dev/null || die "there is no Homebrew (brew), and no QEMU was named: say QEMU=/path/to/$emulator"
        system_qemu=$(brew --prefix qemu)/bin/$emulator
        [ -x "$system_qemu" ] || die "there is no $system_qemu. Type: brew install qemu, or say QEMU=/path/to/$emulator"
        system_qemu=$(realpath "$system_qemu")
    fi
    is=$(lipo -archs "$system_qemu") || die "$system_qemu is no program of macOS. $remedy"
    [[ " $is " == *" $wanted "* ]] ||
        die "$system_qemu is for $is, and $wanted is wanted: a Homebrew for the other kind of Mac? Say QEMU=/path/to/$emulator"
}

find_files() {
    local path
    while IFS= read -r path; do
        : "${located[${path##*/}]:=$(realpath "$path")}"
    done < <(
        {
            firmware_folders
            printf '%s\n' "$(dirname "$(dirname "$system_qemu")")/lib/qemu"
        } | while IFS= read -r path; do
            find -L "$path" -maxdepth 1 \( -name '*.bin' -o -name "*$module_suffix" \) 2>/dev/null || true
        done)
    located[$emulator]=$system_qemu
    version=$(qemu_version)
}

# package_of: Homebrew keeps a package's files in Cellar/NAME/VERSION, and its licences there at the top.
package_of() {
    [[ $1 =~ ^(.*/Cellar/([^/]+)/([^/]+))/ ]] || return 0
    printf '%s\t%s\t%s\n' "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" "${BASH_REMATCH[1]}"
}

# own_name OBJECT: how a library calls itself; nothing for a program. Once per architecture in a universal one.
own_name() { otool -D "$1" | sed -n '/:$/!p' | sort -u; }

# needed: otool names the object itself too, and everything twice in a universal one.
needed() {
    local own list
    own=$(own_name "$1") && list=$(otool -L "$1") || return 1
    sed -n 's/^[[:space:]]\(.*\) (compatibility version .*/\1/p' <<<"$list" |
        awk -v own="$own" '$0 != own && !seen[$0]++'
}

# run_paths OBJECT: its LC_RPATH commands, as they stand in it.
run_paths() {
    otool -l "$1" | awk '$1 == "cmd" {run_path = $2 == "LC_RPATH"}
        run_path && $1 == "path" {sub(/^ *path /, ""); sub(/ \(offset [0-9]+\)$/, ""); if (!seen[$0]++) print}'
}

from_host() { matches "$1" "${macos_host_libraries[@]}"; }

# library_path: as the loader looks, from where the object was: its own run paths, then those of the program. The file
# itself, not a link to it: a library that has two names must not be there twice.
library_path() {
    local name=$1 from=${origin[$2]} path
    local -a paths=("$name")
    case $name in
    @rpath/*)
        mapfile -t paths < <({ run_paths "$from" | meaning "$from"; run_paths "$system_qemu" | meaning "$system_qemu"; })
        paths=("${paths[@]/%//${name#*/}}")
        ;;
    @*) mapfile -t paths < <(meaning "$from" <<<"$name") ;;
    esac
    for path in "${paths[@]}"; do
        if found=$(realpath -e "$path" 2>/dev/null); then return 0; fi
    done
    return 1
}

# meaning OBJECT: reads paths, and says what the loader's words in them mean in this object.
meaning() { sed "s,^@loader_path,$(dirname "$1"),; s,^@executable_path,$(dirname "$system_qemu"),"; }

# relink OBJECT PREFIX: the object names its libraries by PREFIX, and has no run path.
relink() {
    local object=$1 prefix=$2 name path found names
    local -a changes=()
    [ -z "$(own_name "$object")" ] || changes+=(-id "@loader_path/${object##*/}")
    while IFS= read -r path; do changes+=(-delete_rpath "$path"); done < <(run_paths "$object")
    names=$(needed "$object")
    while IFS= read -r name; do
        if [ -z "$name" ] || from_host "$name"; then continue; fi
        library_path "$name" "$object"
        changes+=(-change "$name" "$prefix${found##*/}")
    done <<<"$names"
    ((${#changes[@]})) || return 0
    install_name_tool "${changes[@]}" "$object" ||
        die "install_name_tool can't change ${origin[$object]}. Longer names may have no room in it: it has to be linked with -headerpad_max_install_names, as Homebrew's are. $remedy"
    names=$(needed "$object")
    while IFS= read -r name; do
        [ -z "$name" ] || from_host "$name" || [[ $name == @loader_path/* ]] ||
            die "${object#"$bundle"/} still names $name after install_name_tool"
    done <<<"$names"
}

# sign OBJECT OPTION...
sign() { codesign --force --sign - "${@:2}" "$1" || die "codesign can't sign ${1#"$bundle"/}"; }

finish() {
    local object
    local -a inner
    mapfile -t inner < <(find "$bundle/$libraries" -type f | sort)
    for object in "${inner[@]}"; do
        case $object in
        "$bundle/$modules_in"/*) relink "$object" @loader_path/../ ;;
        *) relink "$object" @loader_path/ ;;
        esac
    done
    relink "$bundle/$program" @loader_path/../lib/
    for object in "${inner[@]}"; do sign "$object"; done
    sign "$bundle/$program" --entitlements "$entitlements"
    codesign --verify --strict "$bundle/$program" || die "$program has no valid signature"
}
