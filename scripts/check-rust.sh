#!/usr/bin/env bash
# Checks formatting and lints of the Rust sources: the launcher, the agent, tests and fuzz targets.
# Usage: [CARGO=cargo] scripts/check-rust.sh
# Distributions package rustfmt and clippy separately; if one is missing it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra cargo <<<"${CARGO:-cargo}"

if "${cargo[@]}" fmt --version >/dev/null 2>&1; then
    "${cargo[@]}" fmt --check
    "${cargo[@]}" fmt --check --manifest-path fuzz/Cargo.toml
else
    scripts/skipped.sh add rustfmt "not installed (rustup component add rustfmt)"
fi
if "${cargo[@]}" clippy --version >/dev/null 2>&1; then
    "${cargo[@]}" clippy --quiet --all-targets -- -D warnings
    # The tests that boot VMs and the kill matrix are for Linux, and so is the agent, because the guest is Linux.
    if [ "$(uname -s)" = Linux ]; then
        "${cargo[@]}" clippy --quiet --test boot -- -D warnings
        "${cargo[@]}" clippy --quiet --test kill --features failpoints -- -D warnings
        "${cargo[@]}" clippy --quiet --all-targets --no-default-features --features agent -- -D warnings
        "${cargo[@]}" clippy --quiet --test remote --features agent -- -D warnings
    else
        scripts/skipped.sh add "clippy of the agent, the boot tests and the kill matrix" "not on $(uname -s)"
    fi
else
    scripts/skipped.sh add clippy "not installed (rustup component add clippy)"
fi
