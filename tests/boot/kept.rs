//! A VM that keeps its system.

use crate::vm::{self, Vm};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;

/// Makes a package and installs it.
const INSTALL: &str = r"
    set -e
    mkdir -p /tmp/own/DEBIAN /tmp/own/usr/bin
    cd /tmp/own
    printf 'Package: own-tool\nVersion: 1\nArchitecture: all\nMaintainer: me\nDescription: mine\n' >DEBIAN/control
    printf '#!/bin/sh\necho installed\n' >usr/bin/own-tool
    chmod +x usr/bin/own-tool
    dpkg-deb -b . /tmp/own.deb
    dpkg -i /tmp/own.deb
    sync";

/// The executable under test, with a cache that this test can remove.
fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = vm::command(home);
    command.env("XDG_CACHE_HOME", home.join("cache")).args(args);
    command
}

/// What a script of root's prints in the guest.
fn as_root(home: &Path, script: &str) -> String {
    let output = command(home, &["exec", "--root", "kept", "--", "sh", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_was_installed_is_there_after_a_kill_a_clean_and_a_start_without_flags() {
    let home = vm::home("kept");
    let mut first = Vm::spawn(command(&home, &["--name", "kept", "--keep", "system"]), home.clone());
    first.wait_until_ready();
    as_root(&home, INSTALL);
    let id = as_root(&home, "cat /etc/machine-id");
    kill(Pid::from_raw(first.qemus()[0] as i32), Signal::SIGKILL).unwrap();
    assert_ne!(first.wait().code(), Some(0), "{}", first.stderr());

    let cleaned = command(&home, &["clean"]).output().unwrap();
    assert!(cleaned.status.success(), "{cleaned:?}");
    let mut second = Vm::spawn(command(&home, &["--name", "kept"]), home.clone());
    second.wait_until_ready();
    assert_eq!(as_root(&home, "own-tool; cat /etc/machine-id"), format!("installed\n{id}"));
    assert_eq!(as_root(&home, "dpkg --audit; systemctl --failed --plain --no-legend"), "");
    let journal = as_root(&home, "dmesg | grep -F 'EXT4-fs (vda)'");
    assert!(journal.contains("recovery complete"), "{journal}");
    second.signal(Signal::SIGTERM);
    assert!(second.wait().success(), "{}", second.stderr());
}
