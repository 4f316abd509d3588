#!/usr/bin/env bash
# `make audit`: what it calls behind, waived, current, and not asked. Archive and RustSec are stubs.
# Usage: tests/build/audit.sh
# shellcheck disable=SC2016 # programs for other shells
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need jq
command -v dpkg >/dev/null || { skip 'every check' 'versions are compared by dpkg' && finish && exit; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ARCHIVE=$work/archive TODAY=2026-06-15 WAIVERS=$work/waivers MIRROR=http://archive.invalid/debian RUSTSEC=$work/rustsec

stub() { mkdir -p "$work/bin" && { echo '#!/bin/bash' && cat; } >"$work/bin/$1" && chmod +x "$work/bin/$1"; }
stub apt-get <<<'[ -s "$ARCHIVE" ] || { echo "E: archive.invalid does not answer" >&2; exit 100; }'
stub apt-cache <<<'for name; do awk -v name="$name" "\$1 == name {print \"Package: \" \$1 \"\nVersion: \" \$2 \"\n\"}" "$ARCHIVE"; done'
stub cargo-deny <<<'cat "$RUSTSEC" >&2; [ ! -s "$RUSTSEC" ]'
stub cargo <<<'true'

part() { mkdir -p "$work/build/$1" && cat >"$work/build/$1/manifest.json"; }
part kernel <<<'{"package": "linux-source-6.12 6.12.1-1"}'
part qemu <<<'{"suite": "trixie", "packages": {"qemu": "1:10.0.13+ds-0+deb13u1", "libslirp0": "4.8.0-1"}}'
part rootfs <<<'{"flavour": "debian", "suite": "trixie", "packages": {"bash": "5.2-1", "ghostty": "1.3.1"}}'

# archive NAME VERSION…: what the archive has.
archive() { printf '%s %s\n' "$@" >"$ARCHIVE"; }
current() { archive linux-source-6.12 6.12.1-1 qemu-system-x86 1:10.0.13+ds-0+deb13u1 libslirp0 4.8.0-1 bash 5.2-1; }
audit() { env PATH="$work/bin:$PATH" "$REPO/scripts/audit.sh" "$work/build"; }
prints() {
    if audit >"$work/audit" 2>&1 && grep -E -- "$1" "$work/audit"; then return; fi
    cat "$work/audit"
    false
}

: >"$WAIVERS" && : >"$RUSTSEC"
current
check 'nothing is behind: it succeeds' prints ': 5 parts, 0 with a fix'
check 'what Debian does not know is named' prints 'not asked: Debian trixie does not know: ghostty'
archive linux-source-6.12 6.12.1-2 qemu-system-x86 1:10.0.14+ds-0+deb13u1 libslirp0 4.8.0-1+deb13u1 bash 5.2-2
for part in 'kernel +linux-source-6.12 +6.12.1-1 +6.12.1-2' 'QEMU +qemu-system-x86 .* 1:10.0.14[^ ]*' 'QEMU +libslirp0 +4.8.0-1 +4.8.0-1.deb13u1' 'image +bash +5.2-1 +5.2-2'; do
    refuses "a fix that is not carried is a row, and fails: ${part%% *}" "$part +a fix that is not carried" audit
done
current && sed -i 's/^bash .*/bash 5.1-9/' "$ARCHIVE"
check 'what is newer than the archive is not behind' prints ', 0 with a fix'
current && sed -i 's/^bash .*/bash 5.2-2/' "$ARCHIVE"
echo 'bash 5.2-2 2026-06-15 is in no path of a guest # until the next image' >"$WAIVERS"
check 'a waiver is said with its reason' prints 'bash .*waived until 2026-06-15: is in no path of a guest'
TODAY=2026-06-16 refuses 'it ends after its date' 'waived until 2026-06-15, which has passed' audit
echo 'bash 5.2-1 2027-01-01 another version' >"$WAIVERS"
refuses 'a waiver is for one version' 'a fix that is not carried' audit
echo 'bash 5.2-2 soon it is fine' >"$WAIVERS"
refuses 'a waiver without a date is refused' 'a line is not PART VERSION UNTIL REASON' audit
: >"$WAIVERS" && current
printf '%s\n' 'error[vulnerability]: reads beyond its end' '    ID: RUSTSEC-2026-0001' >"$RUSTSEC"
refuses 'a crate that RustSec names fails' 'RUSTSEC-2026-0001' audit
echo 'error: failed to fetch advisory database' >"$RUSTSEC"
check 'without a network: RustSec is not asked, and it says so' prints 'not asked: RustSec about the crates .*failed to fetch'
: >"$ARCHIVE"
check 'without a network: neither is Debian' prints 'not asked: Debian trixie about 5 packages .*apt could not read'
rm -r "$work/build"
refuses 'without a build it says what to type' 'run: make build' audit
finish
