#!/usr/bin/env bash
# Checks that every crate in Cargo.lock comes from the registry and has a licence on the list in deny.toml. It needs no
# network and nothing to compile; `make advisories` checks more.
# Usage: scripts/check-licences.sh [METADATA]     (default: the output of `cargo metadata`)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

mapfile -t allowed < <(sed -nE '/^\[licenses\]/,/^\]/s/^ +"([^"]+)",.*/\1/p' "$REPO/deny.toml")
((${#allowed[@]})) || die "deny.toml allows no licence"

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
    ((${expression:-0})) 2>/dev/null # two licences without an operator are not an expression
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
