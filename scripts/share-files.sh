#!/usr/bin/env bash
# The files that packages install beside the executable: man pages and completion scripts, made from the definition of the
# command line (packaging/share_files.rs). Any machine makes the same files.
# Usage: [CARGO=cargo] scripts/share-files.sh OUT
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: scripts/share-files.sh OUT"
cargo=${CARGO:-cargo}
need "$cargo"
"$cargo" run --quiet --locked --manifest-path "$REPO/Cargo.toml" --example share-files -- "$1"
