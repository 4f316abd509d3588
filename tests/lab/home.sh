# shellcheck shell=bash
# A home of the test's own, with its own cache and without a display. Source it after check.sh, with the arguments of the
# script: it sets executable and work. What is started in the background is added to `servers` and stopped at the end.
[ -x "${1-}" ] || die "usage: $0 EXECUTABLE"
executable=$(realpath "$1")

work=$(mktemp -d)
export HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_RUNTIME_DIR=$work/run
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME DISPLAY WAYLAND_DISPLAY
mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"

servers=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    "$executable" stop --all --force
    ((${#servers[@]})) && kill "${servers[@]}"
    wait
    rm -rf "$work"
} >"$work/clean-up" 2>&1
trap clean_up EXIT
trap 'exit 130' INT TERM

# x_server [OPTION]...: sets $display.
x_server() {
    local number=$work/display.${#servers[@]}
    mkfifo "$number"
    Xvfb -displayfd 5 -screen 0 1600x1200x24 -noreset "$@" 5>"$number" 2>/dev/null &
    servers+=($!)
    # shellcheck disable=SC2034 # for the script
    display=:$(<"$number")
}
