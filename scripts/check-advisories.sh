#!/usr/bin/env bash
# Checks the crates in Cargo.lock with cargo-deny: known vulnerabilities, licences, sources (deny.toml).
# Usage: [CARGO=cargo] scripts/check-advisories.sh [advisories|licenses|sources|bans]...   by default all
# Needs the network, for the database of advisories. It uses the cargo-deny in PATH, or compiles
# one and keeps it in the build cache.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
read -ra cargo <<<"${CARGO:-cargo}"
need "${cargo[0]}" git
wanted=0.20.2

cargo_deny=$(command -v cargo-deny || true)
if [ -z "$cargo_deny" ]; then
    tool=$(build_cache_path)/tools/cargo-deny-$wanted
    cargo_deny=$tool/bin/cargo-deny
    [ -x "$cargo_deny" ] || {
        say "compiling cargo-deny $wanted"
        "${cargo[@]}" install --quiet --locked "cargo-deny@$wanted" --root "$tool" --target-dir "$tool/target" && rm -rf "$tool/target"
    }
fi
"$cargo_deny" --manifest-path "$REPO/Cargo.toml" check "$@"
