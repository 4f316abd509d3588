#!/usr/bin/env bash
# Keeps count of the tests and checks that were skipped. VIRTUALGHOST_SKIPPED names the file that collects them, one line
# each (`SKIPPED: NAME: REASON`); tests append to it too. Without the variable nothing is collected.
# Usage: scripts/skipped.sh reset              starts a new count
#        scripts/skipped.sh add NAME REASON    prints the line to standard error and collects it
#        scripts/skipped.sh report WHAT        prints WHAT, the number of skipped tests, and each with its reason
set -euo pipefail
file=${VIRTUALGHOST_SKIPPED:-}

case ${1:-} in
reset)
    [ -z "$file" ] || { mkdir -p "$(dirname "$file")" && : >"$file"; }
    ;;
add)
    line="SKIPPED: ${2:?a name}: ${3:?a reason}"
    printf '%s\n' "$line" >&2
    [ -z "$file" ] || printf '%s\n' "$line" >>"$file"
    ;;
report)
    # A test that runs twice is skipped once.
    lines=$([ ! -f "$file" ] || sort -u "$file")
    [ -z "$lines" ] || printf '%s\n' "$lines"
    printf '%s: passed, %s skipped\n' "${2:?what passed}" "$(grep -c . <<<"$lines" || true)"
    ;;
*)
    echo "usage: scripts/skipped.sh reset | add NAME REASON | report WHAT" >&2
    exit 2
    ;;
esac
