#!/usr/bin/env bash
# Tests the network card's peer with what people run in a VM (git, apt, curl, WebSockets) and for as long as they run
# it: a download of 2 GB, and connections on which nothing happens for ten minutes. Needs no VM: guests are network
# namespaces (src/net/peer/tests/programs.rs). scripts/install-deps.sh installs the servers but sshd, which would listen
# on this machine; without it, git over SSH is skipped.
# Usage: tests/lab/network.sh      (about fifteen minutes)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"

need curl git openssl python3 ssh nghttpd
cd "$REPO"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

lab() {
    VIRTUALGHOST_TEST_MB=2000 "${CARGO:-cargo}" test --lib net::peer::tests::software -- --include-ignored
}
check "programs, a download of 2 GB, and ten idle minutes" lab
finish
