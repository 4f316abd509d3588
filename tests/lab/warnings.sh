#!/usr/bin/env bash
# The journal of a real guest has no warning of a program, no failed unit, and no notice that a later version will refuse
# what the image does today. Run it for each suite and terminal: it tests the guest that the executable carries.
# Usage: tests/lab/warnings.sh EXECUTABLE
# It takes some minutes. The user's configuration is neither read nor written.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need Xvfb jq
# shellcheck source=tests/lab/home.sh
. "$REPO/tests/lab/home.sh"
x_server -nolisten tcp
export DISPLAY=$display

guest() { "$executable" exec lab --root -- "$@"; }
# The prompt appears before the boot is over.
boot_is_over() { timeout 300 "$executable" exec lab --root -- systemctl is-system-running --wait || true; }
journal() { guest journalctl --boot --no-hostname --output=short-monotonic "$@"; }
no_unit_failed() {
    guest systemctl --failed --plain --no-legend >"$work/failed" || return
    cat "$work/failed"
    [ ! -s "$work/failed" ]
}
# The kernel's own warnings are about QEMU's machine.
no_warning() {
    journal --priority=warning _TRANSPORT=journal _TRANSPORT=syslog _TRANSPORT=stdout >"$work/warnings" || return
    ! grep -v '^-- ' "$work/warnings"
}
nothing_refused() {
    journal >"$work/journal"
    grep -q 'systemd\[1\]: ' "$work/journal" || return
    ! grep -iE 'deprecated|will be (refused|ignored|removed)|not a system (user|group)|in a future (version|release)|unknown (key|lvalue|section)' "$work/journal"
}

for way in '--display none' '--gl on' '--gl off --start boot'; do
    # shellcheck disable=SC2086 # words
    check "a guest starts ($way)" "$executable" run --name lab --ephemeral --detach $way
    boot_is_over >"$work/running" 2>&1
    check "no unit failed ($way)" no_unit_failed
    check "no program warns ($way)" no_warning
    check "nothing will be refused by a later version ($way)" nothing_refused
    "$executable" stop lab >/dev/null 2>&1 || true
done
finish
