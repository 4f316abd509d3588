#!/usr/bin/env bash
# The cost of a warm start up to QEMU, in counts, which do not depend on the machine's load. Each limit is a little above the
# count when it was set. A change that exceeds one costs too much, or sets a new limit with the reason.
# Usage: tests/build/launcher.sh EXECUTABLE
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$(dirname "$0")/check.sh"
need objdump strace

executable=$(realpath -e "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A QEMU that ends immediately; what follows does not count.
warm_start() {
    env -i PATH="$PATH" HOME="$work" VIRTUALGHOST_QEMU=/bin/true "$@" "$executable" --accel tcg --display none </dev/null >/dev/null 2>&1 || true
}

# at_most WHAT LIMIT NUMBER
at_most() {
    if (($3 <= $2)); then
        pass "a warm start: $1, $3 of at most $2"
    else
        fail "a warm start: $1, $3 where $2 were enough; find the new ones with strace -f, or set another limit in tests/build/launcher.sh and say why"
    fi
}

warm_start # unpacks
warm_start strace -f -qq -o "$work/trace"
sed -n '/execve("\/bin\/true"/q; / resumed>/d; / +++ \| --- /d; p' "$work/trace" >"$work/calls"
# Landlock takes each path of QEMU's jail by a descriptor: 46 of them are here on Debian 12, with five calls each. What QEMU
# inherits (channels, keys, the cable of its network card) is copied to high numbers first (src/sys/descriptors.rs).
at_most "system calls" 760 "$(wc -l <"$work/calls")"
at_most "files opened" 90 "$(grep -cE ' open(at)?\(.* = [0-9]+$' "$work/calls")"
at_most "processes and threads" 1 "$(grep -cE ' (clone3?|v?fork)\(' "$work/calls")"
at_most "bytes read" 17000 "$(sed -nE 's/.* p?read(64|v)?\(.* = ([0-9]+)$/\2/p' "$work/calls" | awk '{sum += $1} END {print sum + 0}')"

# The payload stays on the disk: it is part of the constants, and only the launcher's own constants are read. The kernel maps
# more pages around each place if it has them in memory, so the limit is not tight.
mapped_qemu "$work/qemu" "$work/mapped"
warm_start VIRTUALGHOST_QEMU="$work/qemu" VIRTUALGHOST_JAIL=off # the stand-in reads of another process, and writes a file
at_most "bytes of the executable's constants in memory" "$(($(stat -c %s "$executable") / 100))" "$(<"$work/mapped")"

# glibc 2.34 is of 2021; a build on Debian 12 meets this. (The QEMU in it needs 2.31: tests/build/qemu-bundle.sh.)
starts_with_glibc() {
    objdump -T "$executable" | grep -o 'GLIBC_2\.[0-9.]*' | sort -V | tail -n1 | grep -qxE 'GLIBC_2\.([0-9]|[12][0-9]|3[0-4])(\..*)?'
}
check "the launcher starts with glibc 2.34" starts_with_glibc
finish
