#!/usr/bin/env bash
# Runs the Windows program and its tests under wine: the unit tests, the command line (tests/cli) and the supervision
# with a fake QEMU (tests/supervise), each built for Windows. Prints a row for each suite.
# Usage: [CARGO=cargo] tests/wine.sh [--short]     (--short: only what is specific to Windows; all tests take minutes)
#
# Wine has its own prefix in the target folder, no window and no network. It cannot test WHPX, an antivirus or access lists.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
# shellcheck source=scripts/cross.sh
. "$REPO/scripts/cross.sh"
export VIRTUALGHOST_EMPTY=1

target=x86_64-pc-windows-gnu
# Debian's `wine` needs its 32-bit version, which is not installed.
wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
wineserver=/usr/lib/wine/wineserver64
need "$wine" "$wineserver" jq
export WINEPREFIX=$cross_target_path/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml=' DISPLAY=
# insta finds the snapshots without cargo, which wine cannot run, and does not write them.
export INSTA_UPDATE=no INSTA_WORKSPACE_ROOT=$REPO

suites=(lib cli supervise)
# filters SUITE: prints the tests of the short run; nothing means all.
filters() { :; }
if [ "${1:-}" = --short ]; then
    filters() {
        case $1 in
        lib) echo sys:: os:: ;;
        cli) echo launch:: a_dry_run config_ ;;
        supervise) echo launcher:: session crash qemu_that ;;
        esac
    }
fi

has_std "$target" || { "$REPO/scripts/skipped.sh" add "the Windows program" "no standard library for $target"; exit 0; }

prefix() {
    local dll=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll source=$cross_target_path/bcryptprimitives.c
    [ -f "$WINEPREFIX/system.reg" ] || {
        say "making a wine prefix"
        "$wine" wineboot --init >/dev/null 2>&1 || die "wine could not make a prefix in $WINEPREFIX"
    }
    # Rust's standard library gets random numbers from this DLL, which wine 8 lacks.
    [ -f "$dll" ] && return
    cat >"$source" <<'C'
unsigned char __stdcall SystemFunction036(void *, unsigned long);
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *to, unsigned long long count)
{
    while (count) {
        unsigned long part = count > 65536 ? 65536 : (unsigned long)count;
        if (!SystemFunction036(to, part))
            return 0;
        to += part;
        count -= part;
    }
    return 1;
}
C
    zig cc -target x86_64-windows-gnu -O2 -shared -o "$dll" "$source" -ladvapi32 7>&-
}

start=$SECONDS
cross zigbuild "$target" --bins --examples
built=$(cross test "$target" --no-run --lib --test cli --test supervise --message-format=json)
# program SUITE: prints its test program. The unit tests are in the library's.
program() {
    jq -r --arg name "${1/#lib/virtualghost}" 'select(.executable and .profile.test and .target.name == $name).executable' \
        <<<"$built"
}
prefix
say "built for $target ($((SECONDS - start)) s)"
stop_wine() { "$wineserver" -k || true; }
trap stop_wine EXIT

failed=()
printf '%-12s %-8s %-8s %-9s %s\n' suite passed failed left-out seconds
for suite in "${suites[@]}"; do
    start=$SECONDS log=$cross_target_path/wine-$suite.log
    # shellcheck disable=SC2046 # each word is a filter
    (cd "$REPO" && timeout 1200 "$wine" "$(program "$suite")" $(filters "$suite") >"$log" 2>&1 7>&- </dev/null) || failed+=("$suite")
    # A filter whose tests were renamed finds none.
    ! grep -q '^test result: ok\. 0 passed' "$log" || failed+=("$suite")
    # libtest's line is "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 1.00s"
    awk -v suite="$suite" -v seconds=$((SECONDS - start)) '/^test result:/ {passed = $4; bad = $6; out = $8 + $12}
        END {printf "%-12s %-8s %-8s %-9s %s\n", suite, passed, bad, out, seconds}' "$log"
done
for suite in "${failed[@]}"; do
    say "$suite: the end of $cross_target_path/wine-$suite.log:"
    tail -40 "$cross_target_path/wine-$suite.log" >&2
done
((${#failed[@]} == 0)) || die "fails under wine: ${failed[*]}"
