# shellcheck shell=bash disable=SC2154 # executable is set by bench.sh
# Shared by the benchmark's groups. A group writes a Markdown table to descriptor 3: `head_of_table`, then one row per
# `compare` or `figure`. Its standard output is standard error, so that what a tool prints cannot get into the table.
#
#   compare WHAT GOAL OURS PEER_NAME PEER   runs both commands alternately RUNS times; each sets $took, in $unit (ms)
#   figure WHAT GOAL UNIT COMMAND           COMMAND sets $took to a number; no peer
#
# `timed COMMAND...` runs a command and sets $took.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
runs=${RUNS:-5} unit=ms

# start_bench: makes a home, starts an X server, and compiles a stand-in for QEMU that only records when it was started.
start_bench() {
    need cc Xvfb xdotool jq zstd python3
    # shellcheck disable=SC2031 # no subshell has set them
    unset DISPLAY WAYLAND_DISPLAY "${!XDG_@}" "${!VIRTUALGHOST_@}"
    work=$(mktemp -d)
    home=$work/home
    mkdir "$home"
    exec {screen}< <(exec Xvfb -displayfd 1 -screen 0 1280x800x24 +extension GLX -noreset 2>/dev/null)
    screen_pid=$!
    # A group that failed leaves its VMs running.
    trap 'vg stop --all --force >/dev/null 2>&1 || true; kill "$screen_pid"; rm -rf "$work"' EXIT
    read -r -u "$screen" display
    # In its jail it can open no file of ours, so it prints the time, and the launcher prints QEMU's last line.
    printf '%s\n' '#include <stdio.h>' '#include <time.h>' \
        'int main(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t);' \
        'return fprintf(stderr, "started at %ld\n", t.tv_sec * 1000000 + t.tv_nsec / 1000) < 0; }' >"$work/stamp.c"
    cc -O2 -static -o "$work/stamp-qemu" "$work/stamp.c"
}

# vg ARGUMENT...: runs the executable without the user's settings. become_vg: the same, in place of this shell.
vg() { (become_vg "$@"); }
become_vg() {
    export HOME="$home" ${vg_env[@]+"${vg_env[@]}"}
    exec "$executable" "$@"
}
vg_env=()

now() { printf '%s' "${EPOCHREALTIME/./}"; }
ms_since() { took=$(awk -v us="$((${2:-$(now)} - $1))" 'BEGIN {printf "%.2f", us / 1000}'); }
timed() {
    local start
    start=$(now)
    "$@" >"$work/said" 2>&1 || die "$*: $(tail -n3 "$work/said")"
    ms_since "$start"
}

# until_qemu COMMAND...: sets $took to the time from the start of the command, which replaces a subshell, to its start of
# $work/stamp-qemu. The fork of the subshell is not measured.
until_qemu() {
    local stamp
    (
        now >"$work/start"
        "$@"
    ) >"$work/said" 2>&1 || true
    stamp=$(sed -n 's/.*started at \([0-9]*\)$/\1/p' "$work/said" | head -n1)
    [ -n "$stamp" ] || die "QEMU was not started: $(cat "$work/said")"
    ms_since "$(cat "$work/start")" "$stamp"
}

# unpack: fills the cache, so that later starts are warm.
unpack() {
    local vg_env=(VIRTUALGHOST_QEMU="$work/stamp-qemu")
    vg --accel tcg --display none </dev/null >/dev/null 2>&1 || true
}

head_of_table() { printf '| %s | VirtualGhost, median of %s (range) | peer, measured alternately | ratio | goal |\n|---|---|---|---|---|\n' "$1" "$runs" >&3; }

# summary NUMBER...: prints the median, a tab, and the median with the range; fewer decimals for larger numbers.
summary() {
    printf '%s\n' "$@" | sort -g | awk '{x[NR] = $1} END {
        m = NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2
        f = m < 10 ? "%.2f" : m < 1000 ? "%.1f" : "%.0f"
        printf f "\t" f " (" f " to " f ")\n", m, m, x[1], x[NR]}'
}

compare() {
    local what=$1 goal=$2 ours=$3 peer_name=$4 peer=$5 i median peer_median text peer_text
    local -a a=() b=()
    for ((i = 0; i < runs; i++)); do
        "$ours" && a+=("$took")
        "$peer" && b+=("$took")
    done
    IFS=$'\t' read -r median text < <(summary "${a[@]}")
    IFS=$'\t' read -r peer_median peer_text < <(summary "${b[@]}")
    printf '| %s | %s %s | %s: %s %s | %s | %s |\n' "$what" "$text" "$unit" "$peer_name" "$peer_text" "$unit" \
        "$(awk -v a="$median" -v b="$peer_median" 'BEGIN {if (b > 0) printf "%.3g", a / b}')" "$goal" >&3
}

figure() {
    local what=$1 goal=$2 unit=$3 command=$4 i text
    local -a a=()
    for ((i = 0; i < runs; i++)); do "$command" && a+=("$took"); done
    IFS=$'\t' read -r _ text < <(summary "${a[@]}")
    printf '| %s | %s %s | | | %s |\n' "$what" "$text" "$unit" "$goal" >&3
}

# start_vm NAME ARGUMENT...: starts a VM under TCG in the background, waits for its first prompt, and sets $took.
start_vm() {
    local name=$1 start line
    local -n pid=vm_$1
    shift
    start=$(now)
    exec {said}< <(export DISPLAY=":$display" && become_vg --accel tcg --name "$name" "$@" 2>&1 </dev/null)
    pid=$!
    while IFS= read -r line <&"$said"; do
        echo "$line" >>"$work/$name.said"
        case $line in ready*) break ;; esac
    done
    ms_since "$start"
    [[ ${line:-} = ready* ]] || die "VM $name: $(cat "$work/$name.said")"
}

# stop_vm NAME: kills its launcher, and QEMU with it.
stop_vm() {
    local -n pid=vm_$1
    kill -KILL "$pid"
    while [ -e "/proc/$pid" ]; do sleep 0.05; done
}

# qemu_of NAME: prints QEMU's pid.
qemu_of() {
    local -n pid=vm_$1
    pgrep -P "$pid" -f qemu-system
}

# cpu_of STAT...: sets $took to the share of one core that these use for $seconds (proc_pid_stat(5)).
ticks() { awk '{sum += $14 + $15} END {print sum}' "$@"; }
cpu_of() {
    local before
    before=$(ticks "$@")
    sleep "$seconds"
    took=$(awk -v ticks=$(($(ticks "$@") - before)) -v hz="$(getconf CLK_TCK)" -v s="$seconds" 'BEGIN {print 100 * ticks / hz / s}')
}
in_vm() { vg exec "$@"; }
assets() { echo "$home"/.cache/virtualghost/assets/*; }

# fetch_vng: installs virtme-ng into $work/vng; fails if it is not available.
fetch_vng() { [ -d "$work/vng" ] || pip_install virtme-ng "$work/vng"; }

# image_as_folder FOLDER: extracts the root filesystem that was built.
image_as_folder() {
    mkdir "$1"
    (cd "$1" && debugfs -R 'rdump / .' "$REPO/assets/build/rootfs/rootfs.img" >/dev/null 2>&1)
}

# run_group SCRIPT TABLE: runs a group; its table goes to TABLE and to standard output.
run_group() {
    # shellcheck source=/dev/null # each group is checked by itself
    (. "$1") 3>&1 >&2 | tee "$2"
    check_table "$2"
}

# check_table FILE: fails unless FILE is one Markdown table: a head, a rule, at least one row, the same number of cells in
# each line, and nothing else.
check_table() {
    local bad
    bad=$(awk '
        {line = $0; gsub(/\\\|/, "", line); cells = gsub(/\|/, "", line)}
        NR == 1 {width = cells}
        !/^\|.*\|$/ || cells != width {print "line " NR ": " $0; exit bad = 1}
        (NR == 2) != /^\|(---\|)+$/ {print "line " NR ": " $0; exit bad = 1}
        END {if (!bad && NR < 3) print "no rows"}' "$1") || true
    [ -z "$bad" ] || die "not a table: $1: $bad"
}

# write_table PAGE GROUP TABLE: puts TABLE into PAGE between <!-- bench:GROUP --> and <!-- /bench:GROUP -->.
write_table() {
    local page=$1 group=$2 table=$3
    check_table "$table"
    [ "$(grep -cE "^<!-- /?bench:$group -->$" "$page")" = 2 ] || die "$page does not have both marks of bench:$group"
    awk -v mark="bench:$group" -v file="$table" '
        $0 == "<!-- /" mark " -->" {inside = 0}
        !inside {print}
        $0 == "<!-- " mark " -->" {inside = 1; while ((getline line < file) > 0) print line}' "$page" >"$work/page"
    cat "$work/page" >"$page"
}
