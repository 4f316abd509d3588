# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# What takes space in the executable.
"$REPO/scripts/size-table.sh" "$(dirname "$executable")" >&3
