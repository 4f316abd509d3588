#!/usr/bin/env bash
# Holds a warm start of the launcher, up to QEMU, to counts that no noise moves. The limits are what it took when they were
# last set, and a little: a change that goes over one either costs too much, or says why and sets a new one.
# Usage: tests/build/launcher.sh EXECUTABLE
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$(dirname "$0")/check.sh"
need objdump strace

executable=$(realpath -e "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A QEMU that ends at once; what comes after it doesn't count.
warm_start() {
    env -i PATH="$PATH" HOME="$work" VIRTUALGHOST_QEMU=/bin/true "$@" "$executable" --accel tcg --display none >/dev/null 2>&1 || true
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
at_most "system calls" 390 "$(wc -l <"$work/calls")"
at_most "files opened" 35 "$(grep -cE ' open(at)?\(.* = [0-9]+$' "$work/calls")"
at_most "processes and threads" 1 "$(grep -cE ' (clone3?|v?fork)\(' "$work/calls")"
at_most "bytes read" 17000 "$(sed -nE 's/.* p?read(64|v)?\(.* = ([0-9]+)$/\2/p' "$work/calls" | awk '{sum += $1} END {print sum + 0}')"

# The payload stays on the disk: of the constants, which it is a part of, the launcher's own are read. How many pages
# beside them the kernel maps with each depends on what of the file it has in memory, so the limit is no tight one.
mapped_qemu "$work/qemu" "$work/mapped"
warm_start VIRTUALGHOST_QEMU="$work/qemu"
at_most "bytes of the executable's constants in memory" "$(($(stat -c %s "$executable") / 100))" "$(<"$work/mapped")"

# From 2021 on; built on Debian 12 it is. (The QEMU in it takes Debian 12's own: tests/build/qemu-bundle.sh.)
starts_with_glibc() {
    objdump -T "$executable" | grep -o 'GLIBC_2\.[0-9.]*' | sort -V | tail -n1 | grep -qxE 'GLIBC_2\.([0-9]|[12][0-9]|3[0-4])(\..*)?'
}
check "the launcher starts with glibc 2.34" starts_with_glibc
finish
