# shellcheck shell=bash disable=SC2154 # executable is set by bench.sh
# What the benchmark's groups share. A group prints Markdown: `head_of_table`, then a line of `compare` or `figure` each.
#
#   compare WHAT GOAL OURS PEER_NAME PEER   both commands run in turn RUNS times; each leaves what it took, in ms, in $took
#   figure WHAT GOAL UNIT COMMAND           COMMAND leaves a number in $took; no peer
#
# `timed COMMAND...` sets $took for a command that says nothing itself.
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
runs=${RUNS:-5}

# start_bench: a home of its own, a screen, and a QEMU that only says when it was started.
start_bench() {
    need cc Xvfb xdotool jq zstd python3
    # shellcheck disable=SC2031 # they are nobody's subshell's
    unset DISPLAY WAYLAND_DISPLAY "${!XDG_@}" "${!VIRTUALGHOST_@}"
    work=$(mktemp -d)
    home=$work/home
    mkdir "$home"
    exec {screen}< <(exec Xvfb -displayfd 1 -screen 0 1280x800x24 +extension GLX -noreset 2>/dev/null)
    screen_pid=$!
    # A group that failed leaves its VMs.
    trap 'vg stop --all --force >/dev/null 2>&1 || true; kill "$screen_pid"; rm -rf "$work"' EXIT
    read -r -u "$screen" display
    printf '%s\n' '#include <stdio.h>' '#include <time.h>' \
        'int main(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); FILE *f = fopen(STAMP, "w");' \
        'return !f || fprintf(f, "%ld", t.tv_sec * 1000000 + t.tv_nsec / 1000) < 0 || fclose(f); }' >"$work/stamp.c"
    cc -O2 -static -DSTAMP="\"$work/stamp\"" -o "$work/stamp-qemu" "$work/stamp.c"
}

# vg ARGUMENT...: the executable, with nothing of the user's. become_vg: in place of this shell.
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

# until_qemu COMMAND...: how long the command, which takes this shell's place, is there until it starts the QEMU that is
# $work/stamp-qemu. The shell's own fork is not measured.
until_qemu() {
    rm -f "$work/stamp"
    (
        now >"$work/start"
        "$@"
    ) >"$work/said" 2>&1 || true
    [ -s "$work/stamp" ] || die "QEMU was not started: $(cat "$work/said")"
    ms_since "$(cat "$work/start")" "$(cat "$work/stamp")"
}

# unpack: to the cache, so that the starts after it are warm.
unpack() {
    local vg_env=(VIRTUALGHOST_QEMU="$work/stamp-qemu")
    vg --accel tcg --display none >/dev/null 2>&1 || true
}

head_of_table() { printf '| %s | VirtualGhost, median of %s (range) | peer, in turn with it | ratio | goal |\n|---|---|---|---|---|\n' "$1" "$runs"; }

# summary NUMBER...: median (smallest to largest), with the precision that the number deserves.
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
    printf '| %s | %s ms | %s: %s ms | %s | %s |\n' "$what" "$text" "$peer_name" "$peer_text" \
        "$(awk -v a="$median" -v b="$peer_median" 'BEGIN {printf "%.3g", a / b}')" "$goal"
}

figure() {
    local what=$1 goal=$2 unit=$3 command=$4 i text
    local -a a=()
    for ((i = 0; i < runs; i++)); do "$command" && a+=("$took"); done
    IFS=$'\t' read -r _ text < <(summary "${a[@]}")
    printf '| %s | %s %s | | | %s |\n' "$what" "$text" "$unit" "$goal"
}

# start_vm NAME ARGUMENT...: a VM under TCG in the background, until its first prompt; $took. Ended by `stop_vm NAME`.
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

# stop_vm NAME: at once; QEMU dies with the launcher.
stop_vm() {
    local -n pid=vm_$1
    kill -KILL "$pid"
    while [ -e "/proc/$pid" ]; do sleep 0.05; done
}

# qemu_of NAME: QEMU's pid.
qemu_of() {
    local -n pid=vm_$1
    pgrep -P "$pid" -f qemu-system
}

in_vm() { vg exec "$@"; }
assets() { echo "$home"/.cache/virtualghost/assets/*; }

# fetch_vng: virtme-ng to $work/vng; fails where it can't be had.
fetch_vng() { [ -d "$work/vng" ] || python3 -m pip --quiet --disable-pip-version-check install --root-user-action=ignore --target "$work/vng" virtme-ng; }

# image_as_folder FOLDER: the files of the root filesystem that was built.
image_as_folder() {
    mkdir "$1"
    (cd "$1" && debugfs -R 'rdump / .' "$REPO/assets/build/rootfs/rootfs.img" >/dev/null 2>&1)
}

# write_table GROUP FILE: into README.md between <!-- bench:GROUP --> and <!-- /bench:GROUP -->.
write_table() {
    local readme=$REPO/README.md
    grep -q "^<!-- bench:$1 -->$" "$readme" || die "README.md has no <!-- bench:$1 -->"
    awk -v mark="bench:$1" -v file="$2" '
        $0 == "<!-- /" mark " -->" {inside = 0}
        !inside {print}
        $0 == "<!-- " mark " -->" {inside = 1; while ((getline line < file) > 0) print line}' "$readme" >"$work/readme"
    cat "$work/readme" >"$readme"
}
