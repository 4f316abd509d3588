//! A VM that keeps its system.

use crate::vm::{self, Vm};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// What a command line of root's prints in the guest.
fn as_root(home: &Path, line: &str) -> String {
    let output = vm::command(home).args(["exec", "--root", "kept", "--", "sh", "-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_was_installed_is_there_after_a_kill_a_clean_and_a_start_without_flags() {
    let mut first = Vm::start("kept", None, &["--keep", "system"]);
    first.wait_until_ready();
    let package = "/tmp/p/DEBIAN && cd /tmp/p && mkdir -p usr/bin";
    let control = r"Package: own-tool\nVersion: 1\nArchitecture: all\nMaintainer: me\nDescription: mine\n";
    as_root(
        &first.home,
        &format!(
            "mkdir -p {package} && printf '{control}' >DEBIAN/control && printf '#!/bin/sh\necho installed\n' >usr/bin/own-tool && \
             chmod +x usr/bin/own-tool && dpkg-deb -b /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb && echo '# mine' >>/etc/profile && sync"
        ),
    );
    let id = as_root(&first.home, "cat /etc/machine-id");
    let qemu = first.qemus()[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(qemu as i32), Signal::SIGKILL).unwrap();
    assert_ne!(first.wait().code(), Some(0), "{}", first.stderr());

    // As if this executable had never been unpacked, without harm to the cache of the other tests.
    let home = first.home.clone();
    let cache = home.join("cache");
    let own_cache = |mut command: Command| {
        command.env("XDG_CACHE_HOME", &cache);
        command
    };
    let cleaned = own_cache(vm::command(&home)).arg("clean").output().unwrap();
    assert!(cleaned.status.success(), "{cleaned:?}");
    let mut command = own_cache(vm::command(&home));
    command.args(["--name", "kept"]);
    let mut second = Vm::spawn(command, home.clone());
    second.wait_until_ready();
    assert_eq!(
        as_root(&home, "own-tool && tail -n 1 /etc/profile && cat /etc/machine-id"),
        format!("installed\n# mine\n{id}")
    );
    assert_eq!(
        as_root(&home, "dpkg --audit; findmnt -no FSTYPE / && systemctl --failed --plain --no-legend"),
        "ext4"
    );
    second.signal(Signal::SIGTERM);
    assert_eq!(second.wait().signal(), None);
}
