#!/usr/bin/env bash
# Which Ghostty a build takes, and its download: from a server on the loopback interface that fails as real ones do.
# Usage: tests/build/ghostty-source.sh
# shellcheck disable=SC2016 # programs for other shells
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need curl python3 dpkg-deb
work=$(mktemp -d)
export VIRTUALGHOST_BUILD_CACHE=$work/cache FETCH_CONNECT_SECONDS=2 FETCH_STALL_SECONDS=2 no_proxy=127.0.0.1
unset GHOSTTY GHOSTTY_SHA256

mkdir "$work/served"
python3 "$REPO/tests/build/server.py" "$work/served" >"$work/port" &
server=$!
trap 'kill "$server"; rm -rf "$work"' EXIT
until [ -s "$work/port" ]; do sleep 0.05; done
host=http://127.0.0.1:$(<"$work/port")
# A port that nobody listens at.
closed=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# served FILE VERSION ARCHITECTURE: a package of that name on the server.
served() {
    mkdir -p "$work/package/DEBIAN" "$work/package/usr/bin"
    head -c 200000 /dev/urandom >"$work/package/usr/bin/ghostty"
    printf '%s\n' 'Package: ghostty' "Version: $2" "Architecture: $3" 'Maintainer: test <test@localhost>' 'Description: stand-in' \
        >"$work/package/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone --build "$work/package" "$work/served/$1" >/dev/null
}
digest() { sha256sum <"$work/served/$1" | cut -d' ' -f1; }
served ghostty.deb 1.0 amd64
sha256=$(digest ghostty.deb)

# fetched WAY [SHA256]: downloads with an empty cache; `output` has what was said, `requests` what was asked.
fetched() {
    rm -rf "$work/cache"
    again "$@"
}
# again WAY [SHA256]: the same, with what is in the cache.
again() {
    rm -f "$work/served/requests"
    bash -c '. "$0/scripts/lib.sh"; . "$0/scripts/fetch.sh"; fetch "$1" "$2" || die "$fetch_failure"; cmp "$fetched" "$3"' \
        "$REPO" "$host/${1:+$1/}ghostty.deb" "${2:-$sha256}" "$work/served/ghostty.deb"
}
requests() { cat "$work/served/requests" 2>/dev/null; }
nothing_opened() { [ -z "$(find "$work/cache" -name 'ghostty.deb*')" ]; }

echo '--- the download'
check 'a file is downloaded' fetched ''
check 'it is not asked for twice: it is in the build cache' again ''
check 'no request was made' test -z "$(requests)"
find "$work/cache" -name ghostty.deb -exec sh -c 'echo >>"$1"' sh {} \;
check 'a file in the cache that has changed is downloaded anew' again ''
check 'a redirect is followed' fetched redirect
refuses 'an endless redirect is not' 'redirects' fetched loop
check 'a connection that breaks is resumed' fetched cut
check 'from where it broke' grep -q 'bytes=[1-9]' <(requests)
check 'a download that stands still is resumed' fetched stall
check 'it went on from the middle' grep -q 'bytes=[1-9]' <(requests)
refuses 'a server that never answers is given up at the first try' 'timed out|too slow' fetched silent
check 'it was asked once' test "$(requests | wc -l)" = 1
refuses 'a 404 is named' '404' fetched missing
check 'and asked once' test "$(requests | wc -l)" = 1
refuses 'a refusal is named' '403' fetched refuse
refuses 'a wrong digest is named' "has the SHA-256 $sha256, not 0{64}" fetched '' "$(printf '0%.0s' {1..64})"
check 'and nothing is kept of it' nothing_opened

# left PART-COMMAND: what an earlier run left of the download.
left() {
    rm -rf "$work/cache"
    mkdir -p "$work/cache/downloads/$sha256"
    "$@" >"$work/cache/downloads/$sha256/ghostty.deb.part"
}
left head -c 1000 "$work/served/ghostty.deb"
check 'an earlier download is resumed' again ''
check 'at its end' grep -q 'bytes=1000-' <(requests)
left cat "$work/served/ghostty.deb"
check 'one that is whole is taken as it is' again ''
check 'without a request' test -z "$(requests)"
left head -c 1000 /dev/zero
check 'one of another file is begun anew' again ''
left head -c 1000000 /dev/zero
check 'one that is longer than the file is begun anew' again ''
left head -c 1000 "$work/served/ghostty.deb"
check 'a server that can not resume sends the whole' again whole

echo '--- which one is taken'
# chosen [NAME=VALUE…] [-- PACKAGE…]: what a build takes whose suite has these packages.
chosen() {
    local settings=()
    while (($#)) && [ "$1" != -- ]; do settings+=("$1") && shift; done
    env "${settings[@]}" bash -c '. "$0/scripts/lib.sh"; SUITE=${SUITE:-trixie} DEB_ARCH=amd64 GHOSTTY=${GHOSTTY:-}
        . "$0/scripts/rootfs/ghostty-source.sh"; handed_in; choose_ghostty "$1"; echo "takes: $GHOSTTY"' "$REPO" "${2-libc6 2.41}"
}
# takes PATTERN ARGUMENT…: the build takes this; `said` has all that it printed.
takes() {
    local pattern=$1
    shift
    chosen "$@" >"$work/said" 2>&1
    cat "$work/said"
    grep -qxE "takes: $pattern" "$work/said"
}
# pin URL [AMD64]: a pin of these.
pin() {
    printf '%s\n' 'suite trixie' 'version 1.0-0-ppa1' "url $1" "amd64 ${2:-$sha256}" "arm64 $(printf '1%.0s' {1..64})" >"$work/pin"
}
export GHOSTTY_PIN=$work/pin
rm -rf "$work/cache"
served handed-in.deb 2.0 amd64
pin "$host/ghostty.deb"
refuses 'a URL needs a digest' 'GHOSTTY_SHA256=' chosen GHOSTTY="$host/handed-in.deb"
refuses 'a URL with another digest ends the build' "has the SHA-256 $(digest handed-in.deb), not $sha256" \
    chosen GHOSTTY="$host/handed-in.deb" GHOSTTY_SHA256="$sha256"
refuses 'a file with another digest does, too' "not $sha256" \
    chosen GHOSTTY="$work/served/handed-in.deb" GHOSTTY_SHA256="$sha256"
refuses 'a file that is not there does' 'no such file' chosen GHOSTTY="$work/nowhere.deb"
check 'first: a URL that is handed in' takes '.*/handed-in.deb' GHOSTTY="$host/handed-in.deb" \
    GHOSTTY_SHA256="$(digest handed-in.deb)" -- 'ghostty 1.2'
check 'or a file' takes "$work/served/handed-in.deb" GHOSTTY="$work/served/handed-in.deb" -- 'ghostty 1.2'
check "second: the suite's own package" takes '' -- 'ghostty 1.2'
check 'third: the pinned one' takes ".*/$sha256/ghostty.deb"
rm "$work/served/requests"
check 'it then comes from the build cache' takes ".*/$sha256/ghostty.deb"
check 'without a request' test -z "$(requests)"
check 'none: foot' takes none GHOSTTY=none
pin "http://127.0.0.1:$closed/ghostty.deb"
check 'from there also without a network' takes ".*/$sha256/ghostty.deb"
rm -rf "$work/cache"
for way in "http://127.0.0.1:$closed/ghostty.deb" "http://nowhere.invalid/ghostty.deb" "$host/missing/ghostty.deb" "$host/silent/ghostty.deb"; do
    pin "$way"
    check "last: foot ($way)" takes none
    check 'one line says why and what to type' grep -qE \
        'the terminal is foot: Ghostty 1.0-0-ppa1 was not downloaded \(.+\).*make fetch-ghostty.*make run GHOSTTY=FILE' "$work/said"
done
pin "$host/ghostty.deb" "$(digest handed-in.deb)"
check 'foot, where the pinned package is another than it was' takes none
check 'which is said' grep -q "has the SHA-256 $sha256, not" "$work/said"
pin "$host/ghostty.deb"
check 'foot, where the pin is for another suite' takes none SUITE=sid
check 'which is said, too' grep -q 'Debian sid has no Ghostty, and the pinned package is for trixie' "$work/said"

echo '--- moving the pin'
served ghostty_1.1-0.ppa3_amd64_trixie.deb 1.1 amd64
served ghostty_1.1-0.ppa3_arm64_trixie.deb 1.1 arm64
served ghostty_1.2-0.ppa1_amd64_trixie.deb 1.2 arm64
pin "$host/ghostty_{package}_{arch}_{suite}.deb"
cp "$work/pin" "$work/pin-before"
update=("$REPO/scripts/update-ghostty.sh")
refuses 'a version is asked for' 'usage: make update-ghostty VERSION=1.0-0-ppa1' "${update[@]}"
refuses 'one that is not there is named' '404' "${update[@]}" 1.3-0-ppa1
refuses 'a package of another architecture is refused' 'is no package of Ghostty for amd64' "${update[@]}" 1.2-0-ppa1
check 'the pin is as before' cmp "$work/pin" "$work/pin-before"
check 'one that is there is taken' "${update[@]}" 1.1-0-ppa3
check 'with its version and digests' diff "$work/pin" <(sed -E "s/^version .*/version 1.1-0-ppa3/
    s/^amd64 .*/amd64 $(digest ghostty_1.1-0.ppa3_amd64_trixie.deb)/; s/^arm64 .*/arm64 $(digest ghostty_1.1-0.ppa3_arm64_trixie.deb)/" "$work/pin-before")
rm -f "$work/served/requests"
check 'the next build takes it' takes '.*/ghostty_1.1-0.ppa3_amd64_trixie.deb'
check 'from the build cache' test -z "$(requests)"
unset GHOSTTY_PIN
real=$(bash -c '. "$0/scripts/lib.sh"; . "$0/scripts/rootfs/ghostty-source.sh"; pinned_url amd64; pinned_url arm64; pinned amd64; pinned arm64' "$REPO")
check "the project's own pin is complete" grep -qzP '^https://\S+/[0-9.]+-\d+-\w+/ghostty_[0-9.]+-\d+\.\w+_amd64_trixie\.deb\nhttps://\S+_arm64_trixie\.deb\n[0-9a-f]{64}\n[0-9a-f]{64}\n$' <<<"$real"
finish
