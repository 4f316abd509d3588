#!/usr/bin/env bash
# Compiles the program for every platform that it is for, with clippy: the launcher for all, the agent for Linux.
# Usage: [CARGO=cargo] scripts/check-platforms.sh [TARGET...]     (default: all; nothing is run)
#
# A platform that there is no standard library for is named and passed over (see cross.sh). What is compiled stays in
# the build cache, too: the first time takes minutes for each platform, later ones a minute in all.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/cross.sh
. "$REPO/scripts/cross.sh"

targets=("$@")
(($#)) || targets=(
    x86_64-unknown-linux-musl aarch64-unknown-linux-gnu x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-apple-darwin
)

# lint TARGET OPTIONS...: one program for one platform.
lint() {
    local target=$1 start=$SECONDS
    shift
    have_std "$target" || {
        say "$target: NOT CHECKED: $no_std"
        return 0
    }
    VIRTUALGHOST_EMPTY=1 cross_cargo "$target" clippy --target-dir "$cross_cache/target-$rust_version" "$@" \
        -- -D warnings || return 1
    say "$target: ${*:-launcher}: ok ($((SECONDS - start)) s)"
}

failed=()
for target in "${targets[@]}"; do
    lint "$target" || failed+=("$target")
    case $target in *-linux-*) lint "$target" --no-default-features --features agent || failed+=("$target (agent)") ;; esac
done
((${#failed[@]} == 0)) || die "does not compile without warnings for: ${failed[*]}"
