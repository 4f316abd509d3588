#!/usr/bin/env bash
# Checks that every crate in Cargo.lock has a licence that we can ship, and comes from the registry.
# Usage: scripts/check-licences.sh [METADATA]     (the output of `cargo metadata`; asked for if none is given)
# cargo-deny does more, but takes minutes to install; for advisories run `cargo deny check advisories` where it is.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

allowed=(
    MIT MIT-0 Apache-2.0 BSD-2-Clause BSD-3-Clause ISC Zlib 0BSD CC0-1.0 Unlicense
    Unicode-3.0 # character tables
    MPL-2.0     # binds changes to its own files, which we make none of
)

# acceptable EXPRESSION: whether an SPDX expression is met by the allowed licences. `A/B` is the old way to write OR.
# Each licence becomes 1 or 0, AND and OR the shell's && and ||; an exception (WITH) only grants more.
acceptable() {
    local words word expression=
    read -ra words <<<"$(sed -E 's/ WITH [^ )]+//g; s,/, OR ,g; s/([()])/ \1 /g' <<<"$1")"
    for word in "${words[@]}"; do
        case $word in
        '(' | ')') expression+=$word ;;
        OR) expression+='||' ;;
        AND) expression+='&&' ;;
        *) if [[ " ${allowed[*]} " == *" $word "* ]]; then expression+=' 1 '; else expression+=' 0 '; fi ;;
        esac
    done
    ((${expression:-0})) 2>/dev/null # two licences without a word between them: no expression
}

if (($#)); then metadata=$(<"$1"); else metadata=$(cargo metadata --format-version 1 --locked --manifest-path "$REPO/Cargo.toml"); fi
count=0
complaints=()
while IFS=$'\t' read -r crate source licence; do
    count=$((count + 1))
    case $source in
    own | registry+*) ;;
    *) complaints+=("$crate comes from $source, not from the registry") ;;
    esac
    acceptable "$licence" || complaints+=("$crate: its licence is not on the list: $licence")
done < <(jq -r '.packages[] | [.name + " " + .version, .source // "own", .license // "none stated"] | @tsv' <<<"$metadata")
((count)) || die "no crate found in the metadata"
((${#complaints[@]} == 0)) || die "$(printf '%s\n' "${complaints[@]}")"
say "$count crates, all with a licence on the list and from the registry"
