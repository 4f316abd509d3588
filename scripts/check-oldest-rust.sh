#!/usr/bin/env bash
# Compiles both programs and all tests with the oldest supported Rust, rust-version in Cargo.toml. Installs it with rustup.
# Usage: scripts/check-oldest-rust.sh
set -euo pipefail
cd "$(dirname "$0")/.."
oldest=$(sed -nE 's/^rust-version = "(.*)"$/\1/p' Cargo.toml)
[ -n "$oldest" ] || { echo "check-oldest-rust: error: Cargo.toml has no rust-version" >&2; exit 1; }

rustup toolchain install "$oldest" --profile minimal --no-self-update
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/rust-$oldest
cargo "+$oldest" check --locked --all-targets
cargo "+$oldest" check --locked --all-targets --no-default-features --features agent
