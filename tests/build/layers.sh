#!/usr/bin/env bash
# The layer check finds planted imports, in a tree with the modules of its table and in a copy of src/.
# Usage: tests/build/layers.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layers() { "$REPO/scripts/check-layers.sh" "$work/src"; }

# fresh: makes a tree with each module of the table, empty; `testing` under cfg(test).
fresh() {
    local module
    rm -rf "$work/src"
    mkdir -p "$work/src/supervise" "$work/src/jail" "$work/src/net"
    while read -r module; do
        [ "$module" != testing ] || echo '#[cfg(test)]'
        echo "pub mod $module;"
        : >"$work/src/$module.rs"
    done < <("$REPO/scripts/check-layers.sh" --modules) >"$work/src/lib.rs"
    echo 'mod state_machine;' >"$work/src/supervise.rs"
    : >"$work/src/supervise/state_machine.rs"
    echo 'mod policy;' >"$work/src/jail.rs"
    : >"$work/src/jail/policy.rs"
    printf 'mod %s;\n' policy names >"$work/src/net.rs"
    : >"$work/src/net/policy.rs"
    : >"$work/src/net/names.rs"
}
# in_file FILE LINE...: appends to a file of the tree.
in_file() { mkdir -p "$(dirname "$work/src/$1")" && printf '%s\n' "${@:2}" >>"$work/src/$1"; }

# allowed WHAT FILE LINE...: the check accepts these lines in FILE.
allowed() {
    fresh
    in_file "${@:2}"
    check "allowed: $1" layers
}
# found WHAT PATTERN FILE LINE...: the check refuses them and prints PATTERN.
found() {
    fresh
    in_file "${@:3}"
    refuses "found: $1" "$2" layers
}

fresh
check 'a tree without imports passes' layers
allowed 'a lower layer' cli.rs 'use crate::launch;' 'fn f() { crate::sys::x(); }'
allowed 'the same layer, one way' host.rs 'use crate::config;'
allowed 'anything under cfg(test)' sys.rs '#[cfg(test)]' 'mod tests {' 'use crate::cli::X;' '}' '#[cfg(test)]' 'use crate::{cli, testing};' \
    '#[cfg(all(test, unix))]' 'fn f() { crate::cli::x() }'
allowed 'a name in a comment or a string' sys.rs '// crate::cli::x' '/* crate::cli /* crate::cli */ crate::cli */' \
    'const A: &str = "crate::cli \" crate::cli";' 'const B: &str = r"crate::cli\";' 'const C: &str = r#"crate::cli " crate::cli"#;' \
    "const D: [char; 2] = ['\"', '\\''];" 'const E: &str = "' 'crate::cli";'
allowed 'a macro of the crate' sys.rs 'fn f() { crate::cli!(); }'
allowed 'lib.rs imports what it wants' lib.rs 'pub use crate::cli::main;'
allowed 'std without I/O in a pure module' plan.rs 'use std::{fmt, time::Duration};'

found 'an upward import' 'src/sys.rs:1: sys \(layer 1\) imports cli \(layer 5\)' sys.rs 'use crate::cli;'
found '... in code' 'src/host.rs:2: host .* imports plan' host.rs '' 'fn f() -> crate::plan::X { Default::default() }'
found '... in a group over several lines' 'src/payload.rs:3: payload .* imports launch' payload.rs 'use crate::{' '    error::{Error, Kind},' '    launch::{self, X},' '};'
fresh
in_file sys.rs 'mod lock;'
in_file sys/lock.rs 'use super::super::cli;'
refuses 'found: ... by super::super' 'src/sys/lock.rs:1: sys .* imports cli' layers
found '... by super in a group' 'src/sys.rs:1: sys .* imports cli' sys.rs 'mod a { use super::{b, super::cli}; }'
found '... in an inline module' 'src/sys.rs:3: sys .* imports cli' sys.rs 'mod a {' 'mod b {' 'use super::super::super::cli;' '}' '}'
# shellcheck disable=SC2016 # not the shell's $
found '... by the crate of a macro' 'src/sys.rs:2: sys .* imports cli' sys.rs 'macro_rules! m { () => {' '$crate::cli::x()' '} }'
found '... after an item under cfg(test)' 'src/sys.rs:3: sys .* imports cli' sys.rs '#[cfg(test)]' 'use std::{fs, io};' 'use crate::cli;'
found '... after a field under cfg(test)' 'src/sys.rs:3: sys .* imports cli' sys.rs 'struct S {' '#[cfg(test)] a: u8,' 'b: crate::cli::X }'
found '... not under cfg(not(test))' 'src/sys.rs:2: sys .* imports cli' sys.rs '#[cfg(not(test))]' 'use crate::cli;'
fresh
in_file sys.rs '#[cfg_attr(unix, path = "sys/os/unix.rs")]' '#[cfg_attr(windows, path = "sys/os/windows.rs")]' 'mod os;'
in_file sys/os/unix.rs 'use super::super::cli;'
in_file sys/os/windows.rs ''
refuses 'found: ... in a file that #[path] names, one level up from where it lies' 'src/sys/os/unix.rs:1: sys .* imports cli' layers
found 'the whole crate' 'sys imports the whole crate' sys.rs 'use super::*;'
found 'the whole crate by another name' 'imports the whole crate' sys.rs 'use crate as root;'
found 'a name at the root of the crate' 'the whole crate, or a name at its root \(Error\)' cli.rs 'use crate::Error;'
found 'an import of tests outside of tests' 'imports testing, which exists in tests alone' cli.rs 'use crate::testing::x;'
found 'qemu that imports config' 'qemu must not import config' qemu.rs 'use crate::config::X;'
found 'error that imports anything' 'error may import nothing' error.rs 'use crate::sys;'
found 'the agent that imports a module of the launcher' 'agent may import protocol,tree alone' agent.rs 'use crate::model;'
found 'the launcher that imports the agent' 'cli .* imports agent' cli.rs 'use crate::agent;'
found 'I/O in a pure module' 'src/plan.rs:1: plan is pure, and uses std::fs' plan.rs 'use std::fs;'
found '... in a group' 'plan is pure, and uses std::env' plan.rs 'use std::{fmt, env::var};'
found '... in a pure file' 'the file is pure, and uses std::process' supervise/state_machine.rs 'fn f() { std::process::abort() }'
found 'a module that is not in the table' 'module attic has no layer' lib.rs 'mod attic {}'
fresh
in_file lib.rs 'mod attic { use crate::cli; }'
in_file sys.rs 'use crate::attic;'
refuses '... and its imports are not judged' 'error: 1 violations' layers
fresh
sed -i.old '/pub mod vfio;/d' "$work/src/lib.rs"
refuses 'found: a module that only the table has' 'the table has the module vfio' layers
fresh
in_file host.rs 'use crate::config;'
in_file config.rs 'use crate::payload;'
in_file payload.rs 'fn f() { crate::host::x() }'
refuses 'found: a circle of three modules' 'in a circle' layers
refuses '... with each of its imports' '^ +payload imports host at .*src/payload.rs:1$' layers

# The same in a copy of the real tree.
rm -rf "$work/src"
cp -r "$REPO/src" "$work/src"
check 'src/ as it is passes' layers
echo 'use crate::cli;' >>"$work/src/sys/mod.rs"
refuses 'found: an upward import planted in a copy of src/' 'src/sys/mod.rs:[0-9]+: sys .* imports cli' layers
finish
