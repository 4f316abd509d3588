#!/usr/bin/env bash
# Every command that a page for users names exists: the program's subcommands and flags, make's targets and variables.
# Commands that change and start nothing are run unchanged, the others with --help, make's with -n. And each file that any
# page names or links exists.
# Usage: tests/build/readme.sh EXECUTABLE
#
# Commands are the lines of an indented code block (up to two spaces, where the explanation begins), and text in backticks
# that begins with the name of the program or with make; in a table's row the flags after a command too. Drawings are in
# fenced blocks.
# shellcheck disable=SC2016,SC2031 # Markdown's backticks; the environment of the program
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
[ -x "${1:-}" ] || die "usage: tests/build/readme.sh EXECUTABLE"
executable=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset "${!XDG_@}" "${!VIRTUALGHOST_@}" "${!MAKE@}"
pages=(README.md docs/BENCHMARKS.md docs/BUILDING.md docs/GPU.md docs/PLATFORMS.md)
all_pages=("${pages[@]}" ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md)

# commands_of PAGE: prints one command per line.
commands_of() {
    sed '/^```/,/^```/d' "$1" | sed -nE 's/^    ([^ ].*)$/\1/p' | sed -E 's/  .*//'
    grep -oE '`(sudo )?(virtualghost|make)( [^`]*)?`' "$1" | tr -d '`'
    awk -F'`' '/^\| `virtualghost/ {for (i = 4; i <= NF; i += 2) if ($i ~ /^-/ && !index($2, $i)) print $2 " " $i}' "$1"
}

# program WORD...: runs the program as a user without files, with empty standard input.
program() { (cd "$work" && HOME=$work/home "$executable" "$@" </dev/null); }
is_subcommand() { program help "$@" >/dev/null; }

# program_command WORD...: a command of the program.
program_command() {
    local words=("$@") i
    case "${words[*]}" in
    'ps' | 'ps --json' | 'config --show' | 'config --path' | 'config --init' | 'clean' | 'clean --dry-run' | 'ssh-config')
        program "${words[@]}"
        return
        ;;
    COMMAND*) return ;; # the reader replaces it
    esac
    words=("${words[@]/#ADDRESS/0000:01:00.0}")
    # The names of subcommands: `run`, `gpu list`. After a command without subcommands a name may be a VM's.
    if [[ ${words[0]:-} = [a-z]* ]]; then
        is_subcommand "${words[0]}" || return 1
        if program help "${words[0]}" | grep -q '^Commands:'; then is_subcommand "${words[@]:0:2}" || return 1; fi
    fi
    # What is after `--` is for the guest.
    for i in "${!words[@]}"; do [ "${words[i]}" != -- ] || { words=("${words[@]:0:i}"); break; }; done
    program "${words[@]}" --help
}

# make_command WORD...: targets and variables of the Makefile. Nothing is built.
make_command() {
    local word targets=()
    for word in "$@"; do
        case $word in
        *=*) grep -rqE "\\b${word%%=*}\\b" "$REPO/Makefile" || { echo "the Makefile has no variable ${word%%=*}"; return 1; } ;;
        *) targets+=("$word") ;;
        esac
    done
    # Without FLAVOUR, make runs a container engine.
    make -C "$REPO" -n FLAVOUR=debian "${targets[@]}"
}

# runs COMMAND: runs it in a safe form.
runs() {
    local words command=${1//\'/} # `'…'` around a word is for the reader's shell
    command=${command//\"/}
    read -ra words <<<"$command"
    [ "${words[0]}" != sudo ] || words=("${words[@]:1}")
    case ${words[0]} in
    virtualghost | target/release/virtualghost) program_command "${words[@]:1}" ;;
    make) make_command "${words[@]:1}" ;;
    *) echo "not a command that this test knows: $1" && return 1 ;;
    esac
}

check_page() {
    local command
    while IFS= read -r command; do check "$1: $command" runs "$command"; done < <(commands_of "$REPO/$1" | sort -u)
}

# files_of PAGE: prints the files that it links, and those in backticks that begin with a folder of the repository.
files_of() {
    local folder
    folder=$(dirname "$1")
    grep -oE '\]\([^)#]+' "$1" | sed 's,^..,,' | { grep -v '^https:' || true; } | sed "s,^,$folder/,"
    grep -oE '`(src|tests|scripts|docs|assets|docker|packaging|fuzz|\.ci|\.github)/[A-Za-z0-9_./-]*`' "$1" | tr -d '`' |
        { grep -v '^assets/build' || true; } | sed "s,^,$REPO/,"
}
has_files() {
    local named absent=0
    while IFS= read -r named; do
        [ -e "$named" ] || { echo "no such file: ${named#"$REPO"/}" && absent=1; }
    done < <(files_of "$1")
    ((!absent))
}

mkdir "$work/home"
for page in "${pages[@]}"; do check_page "$page"; done
for page in "${all_pages[@]}"; do check "$page: the files that it names exist" has_files "$REPO/$page"; done
check "README.md begins with two commands" [ "$(sed -nE '1,12s/^    ([^ ].*)$/x/p' "$REPO/README.md" | wc -l)" -eq 2 ]
check "README.md has at most 200 lines" [ "$(wc -l <"$REPO/README.md")" -le 200 ]

# The checks themselves fail for what does not exist.
refuses 'found: a subcommand that the program does not have' 'unrecognized subcommand|error' runs 'virtualghost no-such-command'
refuses 'found: ... below another one' 'unrecognized subcommand|error' runs 'virtualghost gpu no-such-command'
refuses 'found: a flag that it does not have' 'no-such-flag' runs 'virtualghost run --no-such-flag'
refuses 'found: a target that the Makefile does not have' 'No rule to make target' runs 'make no-such-target'
refuses 'found: a variable that the Makefile does not have' 'no variable' runs 'make bench NO_SUCH_VARIABLE=1'
echo 'See `src/no_such_file.rs` and [it](no-such-page.md).' >"$work/page.md"
refuses 'found: a file that does not exist' 'no such file: src/no_such_file.rs' has_files "$work/page.md"
refuses '... and a link to one' 'no such file: .*no-such-page.md' has_files "$work/page.md"
refuses 'found: a command of another program' 'not a command that this test knows' runs 'rm -rf x'
finish
