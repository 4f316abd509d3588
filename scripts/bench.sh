#!/usr/bin/env bash
# Measures the launcher: medians of several runs with their range, each beside a peer measured in the same run.
# Usage: scripts/bench.sh EXECUTABLE      (RUNS=5)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

[ -x "${1:-}" ] || die "usage: scripts/bench.sh EXECUTABLE"
executable=$(realpath "$1")
runs=${RUNS:-5}
home=$(mktemp -d)
exec {screen}< <(exec Xvfb -displayfd 1 -screen 0 1280x800x24 +extension GLX -noreset 2>/dev/null)
screen_pid=$!
trap 'kill "$screen_pid"; rm -rf "$home"' EXIT
read -r -u "$screen" display
vg() { env -i PATH="$PATH" HOME="$home" ${VIRTUALGHOST_QEMU:+VIRTUALGHOST_QEMU="$VIRTUALGHOST_QEMU"} "$executable" "$@"; }

# times COMMAND...: the milliseconds of each run, sorted.
times() {
    local start i
    for ((i = 0; i < runs; i++)); do
        start=${EPOCHREALTIME/./}
        "$@" >/dev/null 2>&1
        echo $((${EPOCHREALTIME/./} - start))
    done | sort -n | awk '{printf "%.1f\n", $1 / 1000}'
}

# row WHAT PEER COMMAND -- PEER_COMMAND: both measured, and their ratio.
row() {
    local what=$1 peer=$2 ours theirs
    mapfile -t ours < <(times "$3")
    mapfile -t theirs < <(times "$4")
    awk -v what="$what" -v peer="$peer" -v n="$runs" -v a="${ours[*]}" -v b="${theirs[*]}" 'BEGIN {
        split(a, x, " "); split(b, y, " "); m = int((n + 1) / 2)
        printf "| %s | %.1f ms (%.1f to %.1f) | %s: %.1f ms (%.1f to %.1f) | %.2f |\n",
            what, x[m], x[1], x[n], peer, y[m], y[1], y[n], x[m] / y[m] }'
}

# A QEMU that ends at once: what is left is the launcher's own work, up to execve and from the end on.
dry_run() { vg --dry-run; }
warm_run() { VIRTUALGHOST_QEMU=/bin/true vg --display none || true; }
first_run() { rm -rf "$home/.cache" && warm_run; }
copy() { rm -rf "$home/copy" && cp -r --sparse=always "$home/.cache/virtualghost/assets" "$home/copy" && sync -f "$home/copy"; }
shell() { bash -c /bin/true; }

boot() { # ARGUMENT...: to the first prompt, then killed; QEMU dies with the launcher
    local line
    coproc launcher { exec env -i PATH="$PATH" HOME="$home" DISPLAY=":$display" "$executable" --accel tcg --ephemeral "$@" 2>&1; }
    while IFS= read -r line <&"${launcher[0]}"; do case $line in ready*) break ;; esac; done
    # shellcheck disable=SC2154 # coproc sets it
    kill -KILL "$launcher_PID"
    wait "$launcher_PID" 2>/dev/null || true
}
prompt_with_virgl() { boot --gl on; }
prompt_in_software() { boot --gl off; }
shell_without_window() { boot --display none; }
kernel_alone() { # the same kernel without a root filesystem, to its panic
    local assets
    assets=$(echo "$home"/.cache/virtualghost/assets/*)
    QEMU_MODULE_DIR=$assets/qemu/lib/qemu "$assets/qemu/bin/qemu-system-x86_64" -L "$assets/qemu/share/qemu" -M q35 -accel tcg \
        -cpu max -smp 2 -m 2048 -nodefaults -display none -no-reboot -kernel "$assets/kernel/vmlinux" -append panic=-1
}

echo "| what | VirtualGhost, median of $runs (range) | peer in the same run | ratio |"
echo "|---|---|---|---|"
row "first run: empty cache to QEMU" "cp of the same files, synced" first_run copy
row "warm start to QEMU" "bash that starts a program" warm_run shell
row "dry run" "bash that starts a program" dry_run shell
row "cold boot to the prompt, TCG, virgl" "the kernel alone, to its panic" prompt_with_virgl kernel_alone
row "cold boot to the prompt, TCG, software rendering" "the kernel alone, to its panic" prompt_in_software kernel_alone
row "cold boot to SSH, TCG, no window" "the kernel alone, to its panic" shell_without_window kernel_alone
