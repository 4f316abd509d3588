#!/usr/bin/env bash
# Downloads the pinned Ghostty into the build cache: the next build takes it, with or without a network.
# Usage: [ARCH=x86_64|aarch64] scripts/fetch-ghostty.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/rootfs/ghostty-source.sh
. "$REPO/scripts/rootfs/ghostty-source.sh"
arch=$(deb_arch "$ARCH")
fetch "$(pinned_url "$arch")" "$(pinned "$arch")" || die "Ghostty $(pinned version) was not downloaded: $fetch_failure"
say "Ghostty $(pinned version): $fetched"
