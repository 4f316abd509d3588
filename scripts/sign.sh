#!/usr/bin/env bash
# Signs an executable in place if a key for its system is given; otherwise prints that it is unsigned.
# Usage: scripts/sign.sh FILE
#
# macOS (run there): codesign with the hypervisor's entitlement, then notarization by Apple. Without keys the signature is
# ad hoc: the program runs, but Gatekeeper asks about a downloaded one.
#   MACOS_CERTIFICATE, MACOS_CERTIFICATE_PASSWORD   a Developer ID certificate with its key: .p12 as base64
#   MACOS_NOTARY_KEY, MACOS_NOTARY_KEY_ID, MACOS_NOTARY_ISSUER   a key of App Store Connect: .p8 as base64
# Windows (a name that ends in .exe; on any system with osslsigncode):
#   WINDOWS_CERTIFICATE, WINDOWS_CERTIFICATE_PASSWORD   a code signing certificate with its key: .pfx as base64
#   WINDOWS_TIMESTAMP_URL                               a time stamp server, so that the signature stays valid after the certificate expires
# Linux executables have no signature; SHA256SUMS is the check.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
if [ $# != 1 ] || [ ! -f "$1" ]; then die "usage: scripts/sign.sh FILE"; fi
file=$1
umask 077
work=$(mktemp -d)
keychain=$work/signing.keychain-db
trap '[ ! -e "$keychain" ] || security delete-keychain "$keychain"; rm -rf "$work"' EXIT

sign_macos() {
    local identity password entitlements=$REPO/assets/qemu/entitlements.plist
    if [ -z "${MACOS_CERTIFICATE:-}" ]; then
        codesign --force --sign - --entitlements "$entitlements" "$file"
        say "$file: UNSIGNED (ad hoc): no MACOS_CERTIFICATE was given"
        return
    fi
    base64 -d <<<"$MACOS_CERTIFICATE" >"$work/certificate.p12" || die "MACOS_CERTIFICATE is not base64"
    password=$(head -c 24 /dev/urandom | base64)
    security create-keychain -p "$password" "$keychain"
    security unlock-keychain -p "$password" "$keychain"
    security import "$work/certificate.p12" -k "$keychain" -P "${MACOS_CERTIFICATE_PASSWORD:-}" -T /usr/bin/codesign ||
        die "MACOS_CERTIFICATE could not be imported; check MACOS_CERTIFICATE_PASSWORD"
    security set-key-partition-list -S apple-tool:,apple: -k "$password" "$keychain" >/dev/null
    identity=$(security find-identity -v -p codesigning "$keychain" | sed -n 's/^ *1) \([0-9A-F]*\) .*/\1/p')
    [ -n "$identity" ] || die "MACOS_CERTIFICATE has no identity for code signing"
    codesign --force --timestamp --options runtime --keychain "$keychain" --sign "$identity" --entitlements "$entitlements" "$file"
    codesign --verify --strict "$file"
    if [ -z "${MACOS_NOTARY_KEY:-}" ]; then
        say "$file: signed, NOT NOTARIZED: no MACOS_NOTARY_KEY was given"
        return
    fi
    base64 -d <<<"$MACOS_NOTARY_KEY" >"$work/key.p8" || die "MACOS_NOTARY_KEY is not base64"
    ditto -c -k "$file" "$work/notary.zip"
    xcrun notarytool submit "$work/notary.zip" --key "$work/key.p8" --key-id "$MACOS_NOTARY_KEY_ID" --issuer "$MACOS_NOTARY_ISSUER" --wait ||
        die "Apple did not notarize $file"
    say "$file: signed and notarized"
}

sign_windows() {
    local options=()
    if [ -z "${WINDOWS_CERTIFICATE:-}" ]; then
        say "$file: UNSIGNED: no WINDOWS_CERTIFICATE was given"
        return
    fi
    need osslsigncode
    base64 -d <<<"$WINDOWS_CERTIFICATE" >"$work/certificate.pfx" || die "WINDOWS_CERTIFICATE is not base64"
    printf '%s' "${WINDOWS_CERTIFICATE_PASSWORD:-}" >"$work/password"
    [ -z "${WINDOWS_TIMESTAMP_URL:-}" ] || options+=(-ts "$WINDOWS_TIMESTAMP_URL")
    osslsigncode sign -pkcs12 "$work/certificate.pfx" -readpass "$work/password" -h sha256 -n VirtualGhost \
        "${options[@]}" -in "$file" -out "$work/signed.exe" >"$work/said" ||
        { cat "$work/said" >&2 && die "osslsigncode could not sign $file; check WINDOWS_CERTIFICATE_PASSWORD"; }
    cp "$work/signed.exe" "$file"
    say "$file: signed${WINDOWS_TIMESTAMP_URL:+ and time-stamped}"
}

case $(uname -s)$file in
*.exe) sign_windows ;;
Darwin*) sign_macos ;;
*) say "$file: Linux executables have no signature; SHA256SUMS is the check" ;;
esac
