#!/usr/bin/env bash
# Checks that neither of the two programs links what only the other one needs, and that the lock file of the fuzz targets,
# a package of its own, follows the dependencies.
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

without virtualghost 'russh|tokio|tokio-[a-z]+|lexopt|wayland-[a-z]+'
without ghostly-agent 'clap|zstd|toml|include_dir|indicatif' --no-default-features --features agent
cargo tree --quiet --locked --manifest-path "$REPO/fuzz/Cargo.toml" >/dev/null ||
    die "fuzz/Cargo.lock is out of date: run \`cargo update --workspace --manifest-path fuzz/Cargo.toml\`"
say "each program has only its own crates, and the fuzz targets have today's"
