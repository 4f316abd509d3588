//! The launcher as a process of its own: asked to end, and killed.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use crate::example::example;
use crate::scene::{BOOT, eventually, pid_in};
use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// As soon as the launcher knows that the session is ready.
fn launch_ready(launcher: Command) -> (Child, u32, TempDir) {
    let (launcher, qemu, folder) = launch_by(launcher, &BOOT);
    let status = || std::fs::read_to_string(folder.path().join("status")).ok();
    eventually("the launcher says ready", || status()?.contains("ready").then_some(()));
    (launcher, qemu, folder)
}

/// The launcher in a process group or a console of its own, and the pid of its QEMU once that has played all its steps.
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

fn said(mut launcher: Child) -> String {
    let mut text = String::new();
    launcher.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(launcher.wait().unwrap().success());
    text
}

#[test]
fn a_killed_launcher_takes_qemu_with_it() {
    for steps in [&[][..], &["ignore-powerdown", "ignore-quit"], &BOOT] {
        let (mut launcher, qemu, _folder) = launch_by(os::launcher(), steps);
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        eventually("QEMU is gone", || os::has_ended(qemu).then_some(()));
    }
}
