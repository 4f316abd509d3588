# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Goal 7: how fast the terminal swallows text. The peer is the same terminal in the same compositor, from the same image,
# on the host's X server. Needs root, for the image's files as a root folder.
lines='yes "$(printf "%099d" 0)" | head -c 100000000'
# What is typed: the file is shown, and the time from the first byte to the next prompt noted.
show='s=$EPOCHREALTIME; cat /tmp/big; echo $((${EPOCHREALTIME/./} - ${s/./})) >/tmp/took'

type_line() { DISPLAY=:$display xdotool type --delay 20 "$1"$'\n'; }
# await COMMAND...: until it prints something.
await() {
    local text
    for ((i = 0; i < 1200; i++)); do
        text=$("$@" 2>/dev/null) && [ -n "$text" ] && { took=$(awk -v us="$text" 'BEGIN {printf "%.1f", us / 1000}') && return; }
        sleep 0.5
    done
    die "no answer to: $*"
}

in_guest() {
    start_vm show --ephemeral --gl on
    in_vm show -- sh -c "$lines >/tmp/big"
    DISPLAY=:$display xdotool search --onlyvisible --name VirtualGhost windowfocus
    type_line "$show"
    await in_vm show -- cat /tmp/took
    stop_vm show
}

on_host() {
    local pid
    rm -f "$root/tmp/took"
    # The mount is this process's and its children's alone.
    unshare --mount sh -c 'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
        env DISPLAY=":$display" XDG_RUNTIME_DIR=/tmp HOME=/tmp WLR_BACKENDS=x11 WLR_RENDERER_ALLOW_SOFTWARE=1 LANG=C.UTF-8 \
        LIBGL_ALWAYS_SOFTWARE=true XDG_CONFIG_DIRS=/usr/lib/virtualghost/xdg cage -d -- "$terminal" >"$work/host.said" 2>&1 &
    pid=$!
    sleep 5
    DISPLAY=:$display xdotool search --onlyvisible --name wlroots windowfocus || die "no terminal on the host: $(tail -n3 "$work/host.said")"
    type_line "$show"
    await cat "$root/tmp/took"
    kill "$pid"
    wait "$pid" 2>/dev/null || true
}

[ "$(id -u)" = 0 ] || die "the peer needs root"
terminal=$(jq -r .terminal "$REPO/assets/build/rootfs/manifest.json")
root=$work/root
mkdir "$root"
(cd "$root" && debugfs -R 'rdump / .' "$REPO/assets/build/rootfs/rootfs.img" >/dev/null 2>&1)
sh -c "$lines" >"$root/tmp/big"
unpack
head_of_table "text in the terminal"
compare "\`cat\` of 100 MB ($terminal)" "" in_guest "the same on the host, llvmpipe" on_host
