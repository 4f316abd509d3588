#!/usr/bin/env bash
# Compares each part that the executable carries with what its distribution has now, also in its security suite, and the
# crates with RustSec: prints a table of all parts for which there is something newer, and what could not be asked. Fails if
# one of them is not in scripts/audit.waivers, or is there longer than its date.
# Usage: [CARGO=cargo] scripts/audit.sh BUILD      BUILD: the folder of kernel, rootfs and qemu
#   ALL=1   the table has every part
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: scripts/audit.sh BUILD"
need jq
build=$1
waivers=${WAIVERS:-$REPO/scripts/audit.waivers}
today=${TODAY:-$(date +%F)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
not_asked=()

# carried: prints WHERE, SUITE, NAME and VERSION of each part, separated by tabs. SUITE is empty where it is not Debian's.
carried() {
    local kernel=$build/kernel/manifest.json qemu=$build/qemu/manifest.json rootfs=$build/rootfs/manifest.json
    [ ! -f "$kernel" ] || jq -r '.package | split(" ") | ["kernel", "trixie", .[0], .[1]] | @tsv' "$kernel"
    # What is built is QEMU itself, whose source package's version is that of its programs too.
    [ ! -f "$qemu" ] || jq -r '(.suite // "") as $suite
        | .packages | to_entries[] | ["QEMU", $suite, (if .key == "qemu" then "qemu-system-x86" else .key end), .value] | @tsv' "$qemu"
    [ ! -f "$rootfs" ] || jq -r '(if .flavour == "debian" then .suite else "" end) as $suite
        | .packages | to_entries[] | ["image", $suite, .key, .value] | @tsv' "$rootfs"
}

# newest SUITE: reads names, prints NAME and the newest version that the suite has of each.
newest() {
    local -a apt_opts suites=("$1" "$1-updates" "$1-security")
    [ "$1" != sid ] || suites=(sid)
    (
        private_apt "$work/apt-$1" "${suites[@]}"
        xargs apt-cache "${apt_opts[@]}" show --no-all-versions 2>/dev/null || true # it fails if it does not know one of them
    ) | awk '/^Package: / {name = $2} /^Version: / {print name "\t" $2}'
}

# waiver NAME VERSION: prints the reason and the date of its waiver; fails if there is none that counts today.
waiver() {
    local name version until reason
    while read -r name version until reason; do
        [ "$name $version" = "$1 $2" ] || continue
        [[ ! $until < $today ]] || { echo "waived until $until, which has passed" && return 1; }
        echo "waived until $until: $reason" && return 0
    done < <(sed 's/#.*//' "$waivers")
    echo "a fix that is not carried"
    return 1
}

row() { printf '%-8s %-34s %-32s %-32s %s\n' "$@"; }

# A line that is misunderstood would waive nothing, or for ever.
! sed 's/#.*//' "$waivers" | awk 'NF && (NF < 4 || $3 !~ /^20[0-9][0-9]-[01][0-9]-[0-3][0-9]$/)' | grep . ||
    die "$waivers: a line is not PART VERSION UNTIL REASON"
carried >"$work/carried"
[ -s "$work/carried" ] || die "$build has no kernel, rootfs or qemu; run: make build"

: >"$work/newest"
while IFS= read -r suite; do
    cut -f2,3 "$work/carried" | awk -F'\t' -v suite="$suite" '$1 == suite {print $2}' | sort -u >"$work/names"
    if [ -z "$suite" ]; then
        not_asked+=("$(wc -l <"$work/names") packages that no suite of Debian is noted for")
    elif ! command -v apt-cache >/dev/null || ! newest "$suite" <"$work/names" >"$work/found" 2>"$work/why" || [ ! -s "$work/found" ]; then
        not_asked+=("Debian $suite about $(wc -l <"$work/names") packages ($(tail -n 1 "$work/why"))")
    else
        sed "s/^/$suite\t/" "$work/found" >>"$work/newest"
        comm -23 "$work/names" <(cut -f1 "$work/found" | sort -u) >"$work/unknown"
        [ ! -s "$work/unknown" ] || not_asked+=("Debian $suite does not know: $(paste -sd' ' "$work/unknown")")
    fi
done < <(cut -f2 "$work/carried" | sort -u)

bad=0
row WHERE PART CARRIED NEWEST STATE
while IFS=$'\t' read -r where suite name version; do
    new=$(awk -F'\t' -v suite="$suite" -v name="$name" '$1 == suite && $2 == name {print $3; exit}' "$work/newest")
    if [ -n "$new" ] && dpkg --compare-versions "$new" gt "$version"; then
        state=$(waiver "$name" "$new") || bad=$((bad + 1))
        row "$where" "$name" "$version" "$new" "$state"
    elif [ -n "${ALL:-}" ]; then
        row "$where" "$name" "$version" "${new:--}" "$([ -n "$new" ] && echo current || echo "not asked")"
    fi
done < <(sed 's/\t\t/\t-\t/' "$work/carried")

if CARGO=${CARGO:-cargo} "$REPO/scripts/check-advisories.sh" advisories >"$work/crates" 2>&1; then
    say "crates: RustSec names none"
elif grep -qE '^error\[(vulnerability|unsound|yanked|unmaintained)' "$work/crates"; then
    bad=$((bad + 1))
    grep -E '^error\[|ID: |Solution: ' "$work/crates"
else
    not_asked+=("RustSec about the crates ($(tail -n 1 "$work/crates"))")
fi

for what in "${not_asked[@]}"; do say "not asked: $what"; done
say "$(wc -l <"$work/carried") parts, $bad with a fix that is not carried"
((bad == 0)) || die "build what is behind anew (kernel/, rootfs/ or qemu/ of $(build_cache_path); make update-qemu), or waive it in scripts/audit.waivers"
