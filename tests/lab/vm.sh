# shellcheck shell=bash
# Functions for real VMs. Source it after check.sh; it uses executable, work and homes (the folder with the homes of VMs).
# shellcheck disable=SC2154 # those three
vg() { "$executable" "$@"; }

# field NAME FILTER: prints a field of a VM in `ps --json`; fails if it does not run.
listed() { field "$1" .name >/dev/null; }
not_listed() { ! listed "$1"; }
is() { [ "$(field "$1" .state)" = "$2" ]; }
field() { vg ps --json | jq -er ".[] | select(.name == \"$1\") | $2"; }

# await COMMAND...: waits until it succeeds. The limit only keeps a failed test from hanging.
await() {
    local tries
    for ((tries = 0; tries < 1200; tries++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "did not succeed in time: $*" && false
}

equal() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\"" && false; }; }

# launch NAME [FLAG]...: starts a VM without a window; sets launcher.
launch() {
    "$executable" --display none --name "$@" </dev/null >"$work/launcher.log" 2>&1 &
    launcher=$!
}
# ended STATUS...: waits for the launcher, which ends with one of these.
ended() {
    local status=0 wanted
    wait "$launcher" || status=$?
    launcher=
    for wanted in "$@"; do if ((status == wanted)); then return; fi; done
    echo "the launcher ended with $status:" && cat "$work/launcher.log" && false
}
qemu_of() { pgrep -P "$1" qemu; }
gone() { ! kill -0 "$1" 2>/dev/null; }
# A filesystem that was unmounted has no journal to replay.
home_is_clean() { ! dumpe2fs -h "$homes/$1.img" 2>/dev/null | grep '^Filesystem features:' | grep needs_recovery; }
