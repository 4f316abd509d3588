#!/usr/bin/env bash
# Measures the executable against its goals: the median of several runs with their range, each beside a peer that is
# measured alternately with it. The machine must be idle.
# Usage: scripts/bench.sh EXECUTABLE [GROUP...]      (RUNS=5; default: all groups)
#   WRITE=1   also puts each group's table between its marks in docs/BENCHMARKS.md
#
# A group is a file scripts/bench/GROUP.sh (scripts/bench/lib.sh says how it prints its table), a word in the list below,
# and two marks in docs/BENCHMARKS.md.
# shellcheck source=scripts/bench/lib.sh
. "$(dirname "$0")/bench/lib.sh"

[ -x "${1:-}" ] || die "usage: scripts/bench.sh EXECUTABLE [GROUP...]"
executable=$(realpath "$1")
shift
groups=("$@")
((${#groups[@]})) || groups=(launcher boot memory terminal ghostty network share scale size)
for group in "${groups[@]}"; do [ -f "$REPO/scripts/bench/$group.sh" ] || die "no such group: $group"; done

start_bench
for group in "${groups[@]}"; do
    run_group "$REPO/scripts/bench/$group.sh" "$work/$group.md"
    [ -z "${WRITE:-}" ] || write_table "$REPO/docs/BENCHMARKS.md" "$group" "$work/$group.md"
done
