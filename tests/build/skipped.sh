#!/usr/bin/env bash
# Skipped tests are counted: those of scripts, those of Rust, and each of them once.
# Usage: [CARGO=cargo] tests/build/skipped.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
read -ra cargo <<<"${CARGO:-cargo}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$REPO"

counted() { VIRTUALGHOST_SKIPPED=$work/skipped scripts/skipped.sh "$@"; }
# reports LINE...: the report has exactly these lines.
reports() { counted report tier | diff - <(printf '%s\n' "$@"); }
# rust_test: runs a test that needs qemu-img, without it.
rust_test() {
    PATH=/nowhere VIRTUALGHOST_SKIPPED=$work/skipped "$tests" \
        --exact qemu::qcow2::tests::qemu_img_accepts_the_header_and_reads_the_backing_image
}
# prints LINE COMMAND...: COMMAND prints LINE.
prints() { "${@:2}" 2>&1 | grep -x "$1"; }
tests=$("${cargo[@]}" test --lib --no-run 2>&1 | sed -n 's/^ *Executable unittests src\/lib.rs (\(.*\))$/\1/p')
[ -x "$tests" ] || die "cargo did not print the path of the unit tests: $tests"
script='SKIPPED: a check: its tool is missing'
rust='SKIPPED: qcow2: qemu-img accepts the header: qemu-img is not installed'

echo 'SKIPPED: of an earlier run: x' >"$work/skipped"
check 'a tier starts with no skipped tests' counted reset
check '... and reports none' reports 'tier: passed, 0 skipped'
check 'a script that skips a check prints the reason' prints "$script" counted add 'a check' 'its tool is missing'
check '... and it is counted' reports "$script" 'tier: passed, 1 skipped'
check 'a Rust test without its tool prints the reason, without --nocapture' prints "$rust" rust_test
check '... and it is counted' reports "$script" "$rust" 'tier: passed, 2 skipped'
check '... and passes' rust_test
check 'a test that is skipped twice counts once' reports "$script" "$rust" 'tier: passed, 2 skipped'
VIRTUALGHOST_SKIPPED='' check 'without a tier a skipped check is only printed' scripts/skipped.sh add x y
check '... and the report has no file to read' env -u VIRTUALGHOST_SKIPPED scripts/skipped.sh report tier
finish
