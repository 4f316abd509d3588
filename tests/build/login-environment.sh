#!/usr/bin/env bash
# What the guest's terminal gets of the user's login files (assets/guest/usr/lib/virtualghost/login-environment), for sh and
# for bash, which both read it.
# Usage: tests/build/login-environment.sh
# shellcheck disable=SC2016 # single quotes are for the guest's shells
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
script=$REPO/assets/guest/usr/lib/virtualghost/login-environment

# seen SHELL EXPECTED: A is EXPECTED in a SHELL that has read the login files of the home.
seen() { [ "$(HOME=$work SCRIPT=$script A=before "$1" -c 'eval "$(sh "$SCRIPT")"; printf "%s" "$A"')" = "$2" ]; }

for shell in sh bash; do
    check "$shell: no login files" seen $shell before
    value=$'two words, it\'s\n$HOME "\\"'
    printf 'echo noise\nexport A=%q\n' "$value" >"$work/.profile"
    check "$shell: a value of any characters, and no command of what a login file prints" seen $shell "$value"
    echo 'exit 3' >"$work/.bash_profile"
    check "$shell: a login file that exits changes nothing" seen $shell before
    echo 'while :; do :; done' >"$work/.bash_profile"
    check "$shell: one that loops is given up" seen $shell before
    rm "$work/.profile" "$work/.bash_profile"
done
finish
