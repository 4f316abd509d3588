#!/usr/bin/env bash
# Kills the launcher and QEMU at every step, and prints a table of the results.
# Usage: tests/kill/run.sh TARGET-FOLDER [short|long] [ROW...]   (rows whose name contains a word; default: all)
# KILL_SEED=N repeats the random moments of an earlier run. The launcher is built with fail points and a payload of 30 MB
# with a fake QEMU. Mounts are in a namespace.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
cd "$(dirname "$0")/../.."

target=$(realpath -m -- "$1") length=${2:-short}
shift $(($# < 2 ? $# : 2))
payload=$target/payload

# make_payload: the folders that build.rs packs. The root filesystem has a file that fills several chunks.
make_payload() {
    rm -rf "$payload" && mkdir -p "$payload"/{kernel,rootfs,qemu/{bin,modules,data}} "$target/files"
    echo '{"arch": "x86_64", "version": "0"}' >"$payload/kernel/manifest.json"
    head -c 1000000 /dev/urandom >"$payload/kernel/vmlinux"
    head -c 24000000 /dev/urandom >"$target/files/large"
    echo root >"$target/files/small"
    mkfs.ext4 -q -d "$target/files" "$payload/rootfs/rootfs.img" 48M
    echo '{"arch": "x86_64", "flavour": "test", "terminal": "ghostty", "terminal_version": "0"}' >"$payload/rootfs/manifest.json"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$target/debug/examples/fake-qemu" >"$payload/qemu/bin/qemu"
    chmod +x "$payload/qemu/bin/qemu"
    echo module >"$payload/qemu/modules/module.so"
    echo firmware >"$payload/qemu/data/firmware.bin"
    echo '{"arch": "x86_64", "version": "0", "program": "bin/qemu", "modules": "modules", "data": "data"}' >"$payload/qemu/manifest.json"
}

[ "$payload/qemu/manifest.json" -nt tests/kill/run.sh ] || make_payload
export VIRTUALGHOST_ASSETS=$payload CARGO_TARGET_DIR=$target KILL_LENGTH=$length
read -ra cargo <<<"${CARGO:-cargo}"
# `cargo test --example` would compile it as a test.
"${cargo[@]}" build -q --features failpoints --example fake-qemu
cargo+=(test -q --features failpoints)
"${cargo[@]}" --test kill --no-run
namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace=(unshare --map-root-user --mount)
"${namespace[@]}" true 2>/dev/null || namespace=()
exec "${namespace[@]}" "${cargo[@]}" --test kill -- "$@"
