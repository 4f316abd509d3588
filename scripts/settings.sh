#!/usr/bin/env bash
# Writes down what the root file system is built of: BUILD/.ghostty has the Ghostty that was handed in, which the next
# `make` takes again, and BUILD/.settings all of it. That file changes only when a setting does, for make.
# Usage: FLAVOUR=debian|arch [GHOSTTY=FILE|URL|none] [GHOSTTY_SHA256=…] scripts/settings.sh BUILD
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
build=$1
mkdir -p "$build"
case ${GHOSTTY:=} in
'')
    rm -f "$build/.ghostty"
    # The pinned one is taken where it was not there before.
    # shellcheck source=scripts/rootfs/ghostty-source.sh
    . "$REPO/scripts/rootfs/ghostty-source.sh"
    arch=$(deb_arch "$ARCH")
    pin=$(pinned "$arch")
    ghostty="$pin $([ ! -f "$(fetched_path "$(pinned_url "$arch")" "$pin")" ] || echo here)"
    ;;
none) ghostty=none ;;
http://* | https://*) ghostty="$GHOSTTY ${GHOSTTY_SHA256:-}" ;;
*)
    [ -f "$GHOSTTY" ] || die "no such file: GHOSTTY=$GHOSTTY"
    GHOSTTY=$(realpath -- "$GHOSTTY")
    ghostty="$(sha256sum <"$GHOSTTY") ${GHOSTTY_SHA256:-}"
    ;;
esac
[ -z "$GHOSTTY" ] || printf '%s\n' "$GHOSTTY" "${GHOSTTY_SHA256:-}" >"$build/.ghostty"
now="$FLAVOUR $ghostty"
[ "$(cat "$build/.settings" 2>/dev/null)" = "$now" ] || echo "$now" >"$build/.settings"
