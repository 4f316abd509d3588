# shellcheck shell=bash
# Counts checks. Source it after scripts/lib.sh; set work to a folder of the test's own; end with `finish`.
# shellcheck disable=SC2154 # work
passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)) && echo "ok: $*"; }
fail() { failed=$((failed + 1)) && echo "FAILED: $*"; }

# check PROMISE COMMAND…: COMMAND succeeds.
check() {
    local promise=$1
    shift
    if "$@" >"$work/output" 2>&1; then pass "$promise"; else fail "$promise" && tail -20 "$work/output"; fi
}

# refuses PROMISE PATTERN COMMAND…: COMMAND fails, and what it prints matches PATTERN.
refuses() {
    local promise=$1 pattern=$2
    shift 2
    if "$@" >"$work/output" 2>&1; then
        fail "$promise: it succeeded"
    elif ! grep -qE -- "$pattern" "$work/output"; then
        fail "$promise: it does not print \"$pattern\"" && tail -20 "$work/output"
    else
        pass "$promise"
    fi
}

# skip PROMISE REASON: PROMISE cannot be checked on this machine. It is counted (scripts/skipped.sh).
skip() {
    skipped=$((skipped + 1))
    "$REPO/scripts/skipped.sh" add "$(basename "$0" .sh): $1" "$2"
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}
