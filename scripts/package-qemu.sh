#!/usr/bin/env bash
# Makes a relocatable QEMU: a folder with the program, its libraries, modules and firmware, share/doc/licences.txt, and
# manifest.json, which says where the program, modules and firmware are.
# Usage: [ARCH=x86_64|aarch64] [QEMU=/path/to/qemu-system-ARCH] scripts/package-qemu.sh OUT
# ARCH is the guest's; QEMU itself is for this machine.
#
# scripts/qemu-bundle.conf says what goes in. What differs from system to system is in scripts/qemu/{linux,macos,windows}.sh,
# whose headers say which QEMU is taken where none is given. Such a part sets:
#   program                where QEMU lies in the bundle; its name is in emulator
#   libraries, modules_in  the folders of the libraries and of QEMU's modules in the bundle
#   module_suffix          how a module's name ends
#   licence_names          find's expression for a file that is a licence
#   sources                what else than the scripts and QEMU itself makes the bundle, for the cache key
# and defines:
#   choose_source          sets system_qemu, the QEMU to take; empty if it is not from this system
#   find_files DIR         fills located, and run_time_libraries if there are any; sets version, and suite and date if they are
#                          known: which Debian the packages are of, and how new they are
#   package_of PATH        "NAME VERSION FOLDER-OF-LICENCES" of the package that PATH is from, tab-separated, or nothing
#   needed OBJECT          the libraries that an object names, one a line
#   from_host NAME         whether this one comes from the host
#   library_path NAME OBJECT   sets found to the file that NAME in OBJECT means; fails if there is none
#   finish                 makes the objects find each other wherever the bundle lies, and whatever else is due
#
# The cache key holds these scripts, and the QEMU of this system if that is the source, but no package
# versions: those are looked up only when a bundle is made, and then stand in manifest.json. `make audit` compares them with
# what the distribution has now. To take newer packages remove the folder `qemu` of the build cache.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
export SOURCE_DATE_EPOCH
# shellcheck source=scripts/qemu-bundle.conf
. "$REPO/scripts/qemu-bundle.conf"
# shellcheck source=scripts/qemu/known-bad.sh
. "$REPO/scripts/qemu/known-bad.sh"

# Where a library, module or firmware file of that name lies.
declare -A located=()
# Where a file of the bundle is from.
declare -A origin=()
# The packages that the bundle holds files of, and their versions.
declare -A packages=()
# The libraries that are replaced by a stub.
stubs=()
# Those that no object names and that are there for a run all the same: paths.
run_time_libraries=()

# firmware_folders: those in which this system's QEMU and the habits of systems have it.
firmware_folders() {
    local prefix
    prefix=$(dirname "$(dirname "$system_qemu")")
    "$system_qemu" -L help | tr -d '\r'
    printf '%s\n' "$prefix"/share/qemu "$prefix/share" "$(dirname "$system_qemu")/share"
}

# qemu_version: of this system's QEMU.
qemu_version() { "$system_qemu" -version | tr -d '\r' | sed -n 's/.*version \([0-9.]*\).*/\1/p'; }

# pacman_package PATH FOLDER: what package_of is to print, where the package manager is pacman.
pacman_package() {
    local name
    name=$(pacman -Qqo "$1" 2>/dev/null) || return 0
    # MSYS2's names begin with the environment that they are for, the folders of their licences do not.
    printf '%s\t%s\t%s\n' "$name" "$(pacman -Q "$name" | cut -d' ' -f2)" \
        "$2/$(sed -E 's/^mingw-w64-((ucrt|clang)-)?(x86_64|aarch64)-//' <<<"$name")"
}

# take FILE DESTINATION: copies it and notes where it is from, and its package.
take() {
    local name version licences
    cp -L --no-preserve=mode "$1" "$2"
    origin[$2]=$1
    IFS=$'\t' read -r name version licences < <(package_of "$1") || return 0
    [ -z "${packages[$name]:-}" ] || return 0
    packages[$name]=$version
    mkdir -p "$bundle/share/doc/$name"
    find -L "$licences" -maxdepth 1 -type f \( "${licence_names[@]}" \) \
        -exec cp -L --no-preserve=mode -t "$bundle/share/doc/$name" {} + || true
    [ -z "$(ls "$bundle/share/doc/$name")" ] || return 0
    [ -n "$system_qemu" ] || die "package $name has no licence file in $licences"
    printf '%s %s: its licence is told by the system that it is from.\n' "$name" "$version" >"$bundle/share/doc/$name/copyright"
}

# closure: copies the libraries that the bundle's objects need, those that they need, and so on.
closure() {
    local object name names found
    local -a queue=("$bundle/$program")
    for name in "${run_time_libraries[@]}"; do take_library "$name" "$bundle/$program"; done
    for object in "$bundle/$modules_in"/*"$module_suffix"; do [ ! -e "$object" ] || queue+=("$object"); done
    while ((${#queue[@]})); do
        object=${queue[0]}
        queue=("${queue[@]:1}")
        names=$(needed "$object") || die "can't read what ${origin[$object]} links"
        while IFS= read -r name; do
            [ -n "$name" ] || continue
            from_host "$name" && continue
            library_path "$name" "$object" ||
                die "$name is nowhere to be found; ${object#"$bundle"/} (${origin[$object]}) needs it. $remedy"
            take_library "$found" "$object"
        done <<<"$names"
    done
}

# take_library PATH OBJECT: takes it if it is not there yet, and has closure look at it too.
take_library() {
    local file=${1##*/} target=$bundle/$libraries/${1##*/}
    if [ -e "$target" ]; then
        [ "${origin[$target]:-$1}" = "$1" ] ||
            die "two libraries are called $file: ${origin[$target]}, and $1, which ${2#"$bundle"/} needs"
    elif matches "$file" "${unused_libraries[@]}"; then
        stubs+=("$file")
        : >"$target"
    else
        take "$1" "$target"
        queue+=("$target")
    fi
}

# One file for all licences, a heading before each: every start looks whether each file of the bundle is as it was.
join_licences() {
    local file doc=$bundle/share/doc
    (cd "$doc" && find . -type f -print0 | LC_ALL=C sort -z) | while IFS= read -r -d '' file; do
        printf '\n======== %s\n\n' "${file#./}"
        cat "$doc/$file"
    done >"$work/licences"
    rm -r "$doc"
    mkdir "$doc"
    mv "$work/licences" "$doc/licences.txt"
}

build() {
    local name bundle=$1 work=$1/.work version="" date="" suite=""
    mkdir -p "$work" "$bundle/$(dirname "$program")" "$bundle/$libraries" "$bundle/$modules_in" "$bundle"/share/{qemu,doc}
    find_files "$work"

    [ -n "${located[$emulator]:-}" ] || die "the packages hold no $emulator"
    [ -n "$version" ] || die "${located[$emulator]} does not tell its version. $remedy"
    take "${located[$emulator]}" "$bundle/$program"
    for name in "${modules[@]}"; do
        name+=$module_suffix
        [ -z "${located[$name]:-}" ] || take "${located[$name]}" "$bundle/$modules_in/$name"
    done
    for name in "${firmware[@]}"; do
        [ -n "${located[$name]:-}" ] || die "no $name; is QEMU's firmware (SeaBIOS) installed?"
        take "${located[$name]}" "$bundle/share/qemu/$name"
    done
    closure
    finish
    join_licences
    rm -r "$work"
    chmod -R u=rwX,go=rX "$bundle"
    chmod 755 "$bundle/$program"

    for name in "${!packages[@]}"; do printf '%s\t%s\n' "$name" "${packages[$name]}"; done | sort >"$bundle/.packages"
    remedy_for_old="update it with your package manager, then try again"
    [ -n "$system_qemu" ] || remedy_for_old="make update-qemu"
    refuse_known_bad < <({ printf 'qemu\t%s\n' "$version" && cat "$bundle/.packages"; } | awk -F'\t' '!seen[$1]++')
    jq -Rn --arg version "$version" --arg arch "$ARCH" --arg program "$program" --arg modules "$modules_in" --arg date "$date" --arg suite "$suite" \
            '{component: "qemu", version: $version, $arch, $program, modules: $modules, data: "share/qemu",
            packages: ([inputs / "\t" | {(.[0]): .[1]}] | add // {})}
            + if $suite == "" then {} else {$date, $suite} end' <"$bundle/.packages" >"$bundle/manifest.json"
    rm "$bundle/.packages"
    find "$bundle" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

[ $# = 1 ] || die "usage: scripts/package-qemu.sh OUT"
case $(uname -s) in
Linux) os=linux ;;
Darwin) os=macos ;;
MSYS_NT* | MINGW*) os=windows ;;
*) die "QEMU can be packaged on Linux, on macOS, and on Windows in MSYS2's shell; this is $(uname -s)" ;;
esac
emulator=qemu-system-$ARCH
# shellcheck source=scripts/qemu/linux.sh
. "$REPO/scripts/qemu/$os.sh"
choose_source
key=$(inputs_key "$REPO/scripts/package-qemu.sh" "$REPO/scripts/qemu/known-bad.sh" "$REPO/docker/qemu/known-bad.list" "$REPO/scripts/qemu/$os.sh" "$REPO/scripts/qemu-bundle.conf" "${sources[@]}" \
    "=$ARCH" ${system_qemu:+"=$system_qemu" "$system_qemu"})
cached qemu "$key" "$1" build
