#!/usr/bin/env bash
# Checks that every promise in SPECIFICATION.md names a test that exists: for `FILE: TEXT`, that the file contains the text.
# Usage: scripts/check-specification.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

failed=0 promises=0
while IFS= read -r line; do
    enforced=${line##* | }
    [[ $enforced =~ ^\`([^:]+):\ (.+)\`\ \|$ ]] || die "SPECIFICATION.md: no test in: $line"
    promises=$((promises + 1))
    file=${BASH_REMATCH[1]} words=${BASH_REMATCH[2]}
    if ! grep -qF -- "$words" "$REPO/$file"; then
        say "SPECIFICATION.md: \"$words\" is not in $file"
        failed=1
    fi
done < <(grep '^| ' "$REPO/SPECIFICATION.md" | grep -v '^| promise ')
((promises > 0)) || die "SPECIFICATION.md has no promises"
exit $failed
