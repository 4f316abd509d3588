#!/usr/bin/env bash
# Measures the executable against its goals: medians of several runs with their range, each beside a peer that is measured
# in turn with it. The machine must be idle.
# Usage: scripts/bench.sh EXECUTABLE [GROUP...]      (RUNS=5; default: all groups)
#   WRITE=1   puts each group's table between its marks in README.md too
#
# A group is a file scripts/bench/GROUP.sh with functions and a list of rows (scripts/bench/lib.sh says how), a word in the
# list below, and two marks in README.md.
# shellcheck source=scripts/bench/lib.sh
. "$(dirname "$0")/bench/lib.sh"

[ -x "${1:-}" ] || die "usage: scripts/bench.sh EXECUTABLE [GROUP...]"
executable=$(realpath "$1")
shift
groups=("$@")
((${#groups[@]})) || groups=(launcher boot memory terminal scale size)
for group in "${groups[@]}"; do [ -f "$REPO/scripts/bench/$group.sh" ] || die "no such group: $group"; done

start_bench
for group in "${groups[@]}"; do
    table=$work/$group.md
    # shellcheck disable=SC1090 # each is checked by itself
    (. "$REPO/scripts/bench/$group.sh") | tee "$table"
    [ -z "${WRITE:-}" ] || write_table "$group" "$table"
done
