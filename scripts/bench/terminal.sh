# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# How fast the terminal prints text. The peer is the same terminal in the same compositor, from the same image, on the
# host's X server. Both run all the time; one at a time gets keys. Needs root, to chroot into the image's files.
vtebench=0.3.1 scene_seconds=${SCENE_SECONDS:-5} size=1024x768
# Its scenes are scripts in its source.
make_vtebench() {
    cargo install --quiet --locked --root "$1" --target-dir "$1/target" "vtebench@$vtebench" >&2
    cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/vtebench-"$vtebench"/benchmarks "$1/"
    rm -rf "$1/target"
    echo '{}' >"$1/manifest.json"
}

# A side is the guest or the host: how to find its window, and how to read and remove a file in its /tmp.
window_of_guest() { xdotool search --onlyvisible --name VirtualGhost | tail -n1; }
# The window without a name.
window_of_host() { xwininfo -root -children | awk -v size="$size" '/\(has no name\): \(\)/ && index($0, size) {print $1}'; }
on_guest() { in_vm show -- "$@"; }
on_host() { chroot "$root" "$@"; }

# type_in SIDE LINE: types a line, waits until that has written /tmp/done, and sets $answer to its content.
type_in() {
    local i
    "on_$1" rm -f /tmp/done
    xdotool windowfocus "$("window_of_$1")"
    xdotool type --delay 20 "$2"$'\n'
    for ((i = 0; i < 600; i++)); do
        answer=$("on_$1" cat /tmp/done 2>/dev/null) && [ -n "$answer" ] && return
        sleep 1
    done
    die "the terminal on the $1 did not finish: $2"
}

start_on_host() {
    # The mount exists for this process and its children alone.
    unshare --mount sh -c 'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
        env XDG_RUNTIME_DIR=/tmp HOME=/tmp WLR_BACKENDS=x11 WLR_RENDERER_ALLOW_SOFTWARE=1 LANG=C.UTF-8 \
        LIBGL_ALWAYS_SOFTWARE=true XDG_CONFIG_DIRS=/usr/lib/virtualghost/xdg labwc -C /usr/lib/virtualghost/labwc -S "$terminal" >"$work/host.said" 2>&1 &
    host_pid=$!
    sleep 5
    [ -n "$(window_of_host)" ] || die "no terminal on the host: $(tail -n3 "$work/host.said")"
}

# From the first byte to the next prompt.
show() {
    type_in "$1" 's=$EPOCHREALTIME; cat /tmp/big; echo $((${EPOCHREALTIME/./} - ${s/./})) >/tmp/done'
    took=$(awk -v us="$answer" 'BEGIN {printf "%.1f", us / 1000}')
}
show_in_guest() { show guest; }
show_on_host() { show host; }

# scenes SIDE: runs each of vtebench's scenes for some seconds; $work/SIDE.dat gets a line of names, then one line per
# run with milliseconds per MiB.
scenes() {
    type_in "$1" "/tmp/bin/vtebench --silent --max-secs $scene_seconds -b /tmp/benchmarks --dat /tmp/dat; echo status \$? >/tmp/done"
    [ "$answer" = "status 0" ] || die "vtebench on the $1: $answer"
    "on_$1" cat /tmp/dat >"$work/$1.dat"
}
# column SIDE NUMBER
column() { awk -v n="$2" 'NR > 1 && $n ~ /^[0-9]/ {print $n}' "$work/$1.dat"; }
scene_rows() {
    local names=() i text host_text median host_median
    read -r -a names < <(tr -d '"' <"$work/guest.dat")
    for ((i = 1; i <= ${#names[@]}; i++)); do
        # shellcheck disable=SC2046 # numbers
        IFS=$'\t' read -r median text < <(summary $(column guest "$i"))
        # shellcheck disable=SC2046
        IFS=$'\t' read -r host_median host_text < <(summary $(column host "$i"))
        printf '| vtebench, %s, for 1 MiB | %s ms | %s ms | %s | |\n' "${names[i - 1]}" "$text" "$host_text" \
            "$(awk -v a="$median" -v b="$host_median" 'BEGIN {printf "%.3g", a / b}')" >&3
    done
}

[ "$(id -u)" = 0 ] || die "the peer needs root"
terminal=$(jq -r .terminal "$REPO/assets/build/rootfs/manifest.json")
cached bench-vtebench "$(inputs_key "=$vtebench $(cargo --version)")" "$work/vtebench" make_vtebench
root=$work/root
image_as_folder "$root"
yes "$(printf '%099d' 0)" | head -c 100000000 >"$work/big" || true # yes is killed
cp -r "$work/big" "$work/vtebench/bin" "$work/vtebench/benchmarks" "$root/tmp/"
unpack
export DISPLAY=:$display
start_on_host
start_vm show --ephemeral --gl on --size "$size"
tar -C "$root/tmp" -c big bin benchmarks | in_vm show -- tar -C /tmp -x
head_of_table "text in the terminal"
compare "\`cat\` of 100 MB ($terminal)" "" show_in_guest "the same on the host, llvmpipe" show_on_host
scenes guest
scenes host
scene_rows
stop_vm show
kill "$host_pid"
