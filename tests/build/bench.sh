#!/usr/bin/env bash
# The benchmark writes only tables to docs/BENCHMARKS.md: what a tool prints cannot get into one, and what is not a table
# is refused.
# Usage: tests/build/bench.sh
# shellcheck source=scripts/bench/lib.sh
. "$(dirname "$0")/../../scripts/bench/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=$work/page.md table=$work/table.md runs=5

# in_shell FUNCTION ARGUMENT...: in a subshell, as `die` ends the shell.
in_shell() { ("$@"); }
# table_of LINE...: a table of these lines.
table_of() { printf '%s\n' "$@" >"$table"; }
# page_of LINE...: a page with these lines between the marks.
page_of() { printf '%s\n' before '<!-- bench:some -->' "$@" '<!-- /bench:some -->' after >"$page"; }
holds() { printf '%s\n' "${@:2}" | cmp - "$1"; }

cat >"$work/group.sh" <<'END'
echo "a tool's message"
head_of_table "what"
took=1
number() { echo "another message"; took=$((took + 1)); }
figure "some \`a \\| b\`" "" ms number
END
check 'a group runs' in_shell run_group "$work/group.sh" "$table"
# shellcheck disable=SC2016 # Markdown's backticks
check 'its table has the rows and no message of a tool' holds "$table" \
    '| what | VirtualGhost, median of 5 (range) | peer, measured alternately | ratio | goal |' '|---|---|---|---|---|' \
    '| some `a \| b` | 4.00 (2.00 to 6.00) ms | | |  |'

page_of 'old text'
check 'a table is written' in_shell write_table "$page" some "$table"
mapfile -t rows <"$table"
check 'it replaces what was between the marks, and nothing else' holds "$page" before '<!-- bench:some -->' "${rows[@]}" '<!-- /bench:some -->' after

# malformed WHAT LINE...: such a table is refused and the page stays as it is.
malformed() {
    table_of "${@:2}"
    page_of old
    cp "$page" "$work/before"
    refuses "refused: $1" 'not a table' in_shell write_table "$page" some "$table"
    check "... and the page is unchanged" cmp "$work/before" "$page"
}
malformed 'a line of a tool before the table' 'Creating regular file root.img' '| a | b |' '|---|---|' '| 1 | 2 |'
malformed 'a line of a tool in the table' '| a | b |' '|---|---|' 'Creating regular file root.img' '| 1 | 2 |'
malformed 'a row with too few cells' '| a | b |' '|---|---|' '| 1 |'
malformed 'a second head' '| a | b |' '|---|---|' '| 1 | 2 |' '|---|---|'
malformed 'a table without rows' '| a | b |' '|---|---|'
malformed "an empty line"

table_of '| a | b |' '|---|---|' '| 1 | 2 |'
printf '%s\n' '<!-- bench:some -->' text >"$page"
refuses 'a page without the closing mark is refused' 'both marks' in_shell write_table "$page" some "$table"
# shellcheck disable=SC2016 # the variables are for the other shell
check 'each table of docs/BENCHMARKS.md that make bench writes is a table' bash -c '
    . "$1/scripts/bench/lib.sh"
    for group in launcher boot memory terminal network share scale size; do
        sed -n "/^<!-- bench:$group -->$/,/^<!-- .bench:$group -->$/p" "$1/docs/BENCHMARKS.md" | sed "1d;\$d" >"$2/table.md"
        check_table "$2/table.md"
    done' bash "$REPO" "$work"
finish
