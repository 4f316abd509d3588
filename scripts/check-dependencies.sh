#!/usr/bin/env bash
# Checks that neither of the two programs links what only the other one needs.
# Usage: scripts/check-dependencies.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# without PROGRAM CRATES FEATURES...: PROGRAM, built with these features, has none of the crates.
without() {
    local program=$1 crates=$2 tree found
    shift 2
    tree=$(cargo tree --quiet --locked --manifest-path "$REPO/Cargo.toml" --edges normal,build --prefix none "$@")
    grep -q '^virtualghost ' <<<"$tree" || die "cargo tree shows no package"
    found=$(grep -oE "^($crates) v[^ ]*" <<<"$tree" | sort -u) || return 0
    die "$program depends on $(tr '\n' ' ' <<<"$found")"
}

without virtualghost 'russh|tokio|tokio-[a-z]+|lexopt'
without ghostly-agent 'clap|zstd|tar|toml|include_dir|indicatif' --no-default-features --features agent
say "each program has only its own crates"
