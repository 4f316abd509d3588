# shellcheck shell=bash disable=SC2154 # shares variables with scripts/package-qemu.sh, which sources it
# Which versions a bundle was made of, and whether one of them is known to be bad: docker/qemu/known-bad.list.

# older A B: A is an older version than B.
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# refuse_known_bad: reads PART, tab, VERSION of each package, prints those that a guest's bytes reach, and fails if one is in
# the list.
refuse_known_bad() {
    local name version part from before why text=
    while IFS=$'\t' read -r name version; do
        [[ ! $name =~ qemu|slirp|virgl|pixman|glib|gtk|[sS][dD][lL]2 ]] || text+="${text:+, }$name $version"
        version=${version#*:}
        while read -r part from before why; do
            if ! [[ $name =~ (^|-)${part}[0-9]?$ ]] || older "$version" "$from" || ! older "$version" "$before"; then continue; fi
            die "$name $version is not bundled: $why. It is fixed in $before: $remedy_for_old"
        done < <(grep -v '^#' "$REPO/docker/qemu/known-bad.list")
    done
    say "made of $text"
}
