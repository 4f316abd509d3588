# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Goal 5.
"$REPO/scripts/size-table.sh" "$(dirname "$(dirname "$executable")")"
