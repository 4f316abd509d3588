#!/usr/bin/env bash
# The check for paths of one machine finds them in tracked files, and accepts paths that are the same everywhere.
# Usage: tests/build/paths.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
# Outside the folders that the check refuses.
work=$(mktemp -d "${TMPDIR:-/tmp}/paths.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/clone"
git -C "$work/clone" init -q

# In variables, so that this file has no such path itself.
s=/ b=\\
paths() { HOME=$work/home "$REPO/scripts/check-paths.sh" "$work/clone"; }
# with LINE: the tree with this line.
with() {
    printf 'text\n%s\n' "$1" >"$work/clone/page.md"
    git -C "$work/clone" add page.md
}
allowed() { with "$2" && check "allowed: $1" paths; }
found() { with "$2" && refuses "found: $1" 'page.md:2:' paths; }

allowed 'no path' 'nothing'
allowed "the guest user's home" "scp x web:${s}home/ghost/x, ${s}home/ghost"
allowed 'a path below no home' "${s}usr/bin/env ${s}tmp/x ~/.cache /root.img"
found "a tool's output with root's cache" "Creating regular file ${s}root/.cache/x/root.img"
found 'a home' "see ${s}home/someone/notes"
found "... on a line that has the guest user's too" "${s}home/ghost/x ${s}home/someone/x"
found 'a home on macOS' "${s}Users/someone/x"
found 'a home on Windows' "C:${b}Users${b}someone"
found 'a temporary folder' "${s}tmp/tmp.a1b2c3"
found "this user's home, wherever it is" "$work/home/x"
found 'the clone itself' "$work/clone/x"

echo "${s}home/someone/x" >"$work/clone/untracked"
with 'nothing'
check 'a file that is not tracked does not count' paths
mv "$work/clone/.git" "$work/git"
check 'without a git clone the check is skipped' env VIRTUALGHOST_SKIPPED="$work/skipped" "$REPO/scripts/check-paths.sh" "$work/clone"
check '... with the reason' grep -qx 'SKIPPED: check-paths: this is not a git clone' "$work/skipped"
finish
