#!/usr/bin/env bash
# Runs every fuzz target of fuzz/ on its corpus and then on new inputs. Prints a table, and fails on a crash, a hang (5 s on
# one input) or an input that needs much memory.
# Usage: [CARGO=cargo] scripts/fuzz.sh [SECONDS-PER-TARGET]     (default: 5)
#
# A crate contains libFuzzer, and every rustc can instrument code, so this needs a C++ compiler, but neither cargo-fuzz nor
# nightly. It runs without sanitizers: all but two lines of the fuzzed code are safe Rust. New inputs are kept in
# target/fuzz/corpus; `cargo fuzz cmin` or -merge=1 reduces them for the committed corpus.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${1:-5}
[[ $seconds =~ ^[0-9]+$ ]] || die "usage: scripts/fuzz.sh [SECONDS-PER-TARGET]"
cargo=${CARGO:-cargo}
need "$cargo" g++

target=${CARGO_TARGET_DIR:-$REPO/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
# The same flags as cargo-fuzz. With --target they do not apply to build scripts and macros.
flags=(--cfg fuzzing -Cpasses=sancov-module -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1)
for setting in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$setting")
done
VIRTUALGHOST_EMPTY=1 RUSTFLAGS=${flags[*]} "$cargo" build --quiet --locked --release --manifest-path "$REPO/fuzz/Cargo.toml" --target "$host" \
    --target-dir "$target"

# In memory if possible: each execution unpacks a payload and syncs every file.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" virtualghost-fuzz.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$target/logs" "$target/crashes"

# fuzz TARGET: prints one line of the table.
fuzz() {
    local name=$1 log=$target/logs/$1 found=$target/corpus/$1 options verdict=ok seeds covered start=$SECONDS
    mkdir -p "$found" "$scratch/$name"
    options=(-max_total_time="$seconds" -timeout=5 -rss_limit_mb=512 -max_len=65536 -print_final_stats=1
        -artifact_prefix="$target/crashes/$name-")
    [ ! -f "$REPO/fuzz/$name.dict" ] || options+=(-dict="$REPO/fuzz/$name.dict")
    TMPDIR=$scratch/$name RUST_BACKTRACE=0 "$target/$host/release/$name" "${options[@]}" "$found" \
        "$REPO/fuzz/corpus/$name" &>"$log" || verdict=FAILED
    seeds=$(sed -nE 's/^#[0-9]+\tINITED cov: ([0-9]+).*/\1/p' "$log")
    covered=$(sed -nE 's/^#[0-9]+\t.* cov: ([0-9]+).*/\1/p' "$log" | tail -1)
    printf '%-8s  %10s  %7s  %8s  %8s  %s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        $((SECONDS - start)) "${seeds:-0}" "+$((${covered:-0} - ${seeds:-0}))" "$verdict"
    [ $verdict = ok ] || { sed -n '/panicked at/,$p; /allocation of/p; /^SUMMARY/p' "$log" | head -20 >&2; return 1; }
}

failed=0
printf '%-8s  %10s  %7s  %8s  %8s\n' target executions seconds coverage new
for file in "$REPO"/fuzz/fuzz_targets/*.rs; do
    fuzz "$(basename "$file" .rs)" || failed=1
done
((!failed)) || die "an input failed; it is in $target/crashes, and TARGET FILE runs it again"
