//! A launcher in a process of its own is signalled and killed.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use crate::example::example;
use crate::scene::{BOOT, eventually, pid_in};
use std::fs::File;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Starts the launcher in a process group of its own. Returns it and the pid of its QEMU once that has run all its steps.
fn launch_by(mut launcher: Command, steps: &[&str]) -> (Child, u32, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pid_path = folder.path().join("pid");
    launcher
        .arg(folder.path())
        .arg(example("fake-qemu"))
        .args(steps)
        .arg(format!("write-pid={}", pid_path.display()))
        .stdout(Stdio::piped())
        .stderr(File::create(folder.path().join("status")).unwrap());
    os::set_group(&mut launcher);
    let launcher = launcher.spawn().unwrap();
    let qemu = pid_in(&pid_path);
    (launcher, qemu, folder)
}

#[test]
fn a_killed_launcher_takes_qemu_with_it() {
    for steps in [&[][..], &["ignore-powerdown", "ignore-quit"], &BOOT] {
        let (mut launcher, qemu, _folder) = launch_by(os::launcher(), steps);
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        eventually("QEMU has ended", || os::has_ended(qemu).then_some(()));
    }
}
