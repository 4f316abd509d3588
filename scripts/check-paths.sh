#!/usr/bin/env bash
# Checks that no tracked file has an absolute path of a home, cache or temporary folder: such a path is a tool's output that
# was written into a page, or works on one machine only. Lists every place; status 0 only if there is none.
# Usage: scripts/check-paths.sh [CLONE]      (default: this one)
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
clone=$(cd "${1:-$scripts/..}" && pwd)
# In a container the clone may belong to another user.
git() { command git -c safe.directory="$clone" -C "$clone" "$@"; }
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    "$scripts/skipped.sh" add check-paths "this is not a git clone"
    exit 0
fi

# Homes and temporary folders, except the home of the guest's own user, which is the same everywhere.
patterns=(-e '/root/\.[a-z]' -e '/home/[a-z][a-z0-9_-]*/' -e '/Users/[A-Za-z]' -e '[A-Za-z]:\\+Users\\+[A-Za-z]'
    -e '/var/folders/[A-Za-z0-9]' -e '/tmp/tmp\.[A-Za-z0-9]')
found=$(git grep -nIoE "${patterns[@]}" | grep -vE ':/home/ghost/$' || true)
# This clone and this user's home. A folder directly below / does not identify a machine.
for folder in "$clone" "${HOME:-}"; do
    case ${folder#/} in
    */*) found+=$(git grep -nIF -e "$folder/" || true) ;;
    esac
done
if [ -n "$found" ]; then
    printf '%s\n' "$found" "check-paths: error: paths of one machine in tracked files" >&2
    exit 1
fi
