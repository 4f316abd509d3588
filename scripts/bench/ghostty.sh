# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# Ghostty beside foot, in the same image: how long until the prompt, what an idle prompt costs, and how long a key takes.
# The executable must carry Ghostty, or the stand-in that the tests build, which has the same toolkit and needs the same OpenGL:
#   tests/ghostty-stand-in/build.sh ghostty.tar.gz && make build GHOSTTY=ghostty.tar.gz
seconds=${IDLE_SECONDS:-30}
key=$REPO/scripts/bench/key.py

# terminal WHICH ARGUMENT...: starts a VM with this terminal.
terminal() { start_vm "$1" --terminal "$1" --ephemeral "${@:2}"; }
# The arguments of the VMs that are compared.
vm_arguments=()
start() { terminal "$1" "${vm_arguments[@]}" && stop_vm "$1"; }
start_ghostty() { start ghostty; }
start_foot() { start foot; }

# With the VMs running: the share of a core of each one's QEMU.
idle_share() { cpu_of "/proc/$(qemu_of "$1")/stat"; }
idle_ghostty() { idle_share ghostty; }
idle_foot() { idle_share foot; }

# From a key to the change of the window that it causes.
key_to_pixel() {
    local window
    window=$(DISPLAY=":$display" xdotool search --onlyvisible --name "VirtualGhost.*$1" | tail -n1)
    took=$(DISPLAY=":$display" python3 "$key" "$window")
}
key_ghostty() { key_to_pixel ghostty; }
key_foot() { key_to_pixel foot; }

# Frames that another window of the terminal draws in a minute in which nothing happens.
frames() {
    took=$(in_vm "$1" -- sh -c 'WAYLAND_DEBUG=1 timeout 100 '"$1"' >/tmp/trace 2>&1 & sleep 30
        count() { grep -c "wl_surface.*\.commit()" /tmp/trace; }
        before=$(count); sleep 60; echo $(($(count) - before))')
}
frames_ghostty() { frames ghostty; }
frames_foot() { frames foot; }

both() { compare "$1" "$2" "$3_ghostty" foot "$3_foot"; }

unpack
terminal ghostty --gl on
version=$(in_vm ghostty -- ghostty +version 2>/dev/null | head -n1) || die "$executable carries no Ghostty"
stop_vm ghostty
head_of_table "${version:-Ghostty} under TCG"
vm_arguments=(--gl on)
both "cold boot to the prompt, virgl" "at most 1.5" start
terminal ghostty --gl on
terminal foot --gl on
sleep "$seconds" # until what starts after the prompt has started
unit=% both "share of one core when idle, virgl" "at most 2 %" idle
both "a key to its pixel, virgl" "at most 2" key
unit=frames runs=1 both "frames in an idle minute, virgl" 0 frames
stop_vm ghostty
stop_vm foot
vm_arguments=(--gl off --start boot)
both "cold boot to the prompt, software rendering" "at most 2" start
vg_env=(DISPLAY=":$display")
for which in ghostty foot; do vg checkpoint --accel tcg --ephemeral --gl off --terminal "$which" >&2; done
vg_env=()
vm_arguments=(--gl off --start instant)
both "instant start to the prompt" "at most 1.5" start
