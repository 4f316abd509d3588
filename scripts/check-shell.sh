#!/usr/bin/env bash
# Checks every shell script with shellcheck; skipped where that is not installed. It takes half a minute of processor time, so
# it is not run again for the same bytes that it passed with this version (target/shell-passed).
# Usage: scripts/check-shell.sh
set -euo pipefail
cd "$(dirname "$0")/.."
command -v shellcheck >/dev/null || exec scripts/skipped.sh add shellcheck "not installed (scripts/install-deps.sh test)"

files=()
while IFS= read -r file; do
    case $file in
    *.sh) files+=("$file") ;;
    *) ! head -n1 "$file" | grep -qE '^#!.*\b(ba)?sh$' || files+=("$file") ;;
    esac
done < <(find .ci scripts tests -type f -not -name '*.rs' -not -name '*.py' | sort)
passed=${CARGO_TARGET_DIR:-target}/shell-passed
now=$({ shellcheck --version; sha256sum "${files[@]}"; } | sha256sum)
[ "$(cat "$passed" 2>/dev/null)" != "$now" ] || exit 0
printf '%s\0' "${files[@]}" | xargs -0 -n 8 -P 2 shellcheck -x
mkdir -p "$(dirname "$passed")"
echo "$now" >"$passed"
