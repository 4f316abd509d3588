#!/usr/bin/env bash
# The licence check accepts what its list allows and names what it does not.
# Usage: tests/build/licences.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# crate LICENCE [SOURCE]: checks metadata with this one crate in it.
crate() {
    jq -n --arg licence "$1" --arg source "${2:-registry+index}" \
        '{packages: [{name: "some-crate", version: "1.0.0", license: $licence, source: $source}]}' >"$work/metadata"
    "$REPO/scripts/check-licences.sh" "$work/metadata"
}

check 'every crate of Cargo.lock passes' "$REPO/scripts/check-licences.sh"
check 'one allowed licence of several is enough' crate 'GPL-3.0-only OR MIT'
check 'also in the old spelling' crate 'GPL-3.0-only/MIT'
check 'parentheses and exceptions are understood' crate '(GPL-2.0-only OR Apache-2.0 WITH LLVM-exception) AND Unicode-3.0'
refuses 'with AND both must be allowed' 'some-crate 1.0.0.*MIT AND GPL-3.0-only' crate 'MIT AND GPL-3.0-only'
refuses 'a licence off the list is named with its crate' 'some-crate 1.0.0.*AGPL-3.0-only' crate AGPL-3.0-only
refuses 'what is no expression is refused' 'some-crate 1.0.0' crate 'MIT GPL-3.0-only'
refuses 'a crate without a licence is refused' 'some-crate 1.0.0' crate ''
refuses 'a crate from elsewhere is refused' 'comes from git' crate MIT git+somewhere
finish
