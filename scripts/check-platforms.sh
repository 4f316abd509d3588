#!/usr/bin/env bash
# Compiles the programs for every supported platform, with clippy, and links them: the launcher for all, the agent for
# Linux. Nothing is run.
# Usage: [CARGO=cargo] scripts/check-platforms.sh [--lint] [TARGET...]     (default: all; --lint links nothing)
#
# The first time takes minutes for each platform, later ones a minute in all. A platform without a standard library is
# skipped (scripts/cross.sh).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/cross.sh
. "$REPO/scripts/cross.sh"
export VIRTUALGHOST_EMPTY=1

links=1
[ "${1:-}" != --lint ] || { links=0; shift; }
targets=("$@")
(($#)) || targets=(
    x86_64-unknown-linux-musl aarch64-unknown-linux-gnu x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-apple-darwin
)

# check TARGET PROGRAM OPTIONS...: one program for one platform.
check() {
    local target=$1 program=$2 start=$SECONDS
    shift 2
    cross clippy "$target" "$@" -- -D warnings || return 1
    say "$target: $program: compiled ($((SECONDS - start)) s)"
    ((links)) || return 0
    start=$SECONDS
    cross zigbuild "$target" --bin "$program" "$@" || return 1
    say "$target: $program: linked ($((SECONDS - start)) s)"
}

failed=()
for target in "${targets[@]}"; do
    has_std "$target" || {
        "$REPO/scripts/skipped.sh" add "compile for $target" "$no_std"
        continue
    }
    check "$target" virtualghost || failed+=("$target")
    case $target in
    *-linux-*) check "$target" ghostly-agent --no-default-features --features agent || failed+=("$target (agent)") ;;
    esac
done
((${#failed[@]} == 0)) || die "fails for: ${failed[*]}"
