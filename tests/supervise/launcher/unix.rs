//! Unix: signals.

use super::launch_by;
use crate::example::example;
use crate::os::is_gone;
use crate::scene::{BOOT, eventually};
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// As a terminal starts it: whoever runs the tests may have nohup's ignored SIGHUP to hand down.
pub fn launcher() -> Command {
    let mut launcher = Command::new(example("launch-fake"));
    let hears_sighup = || {
        // SAFETY: the default action is no handler of ours.
        unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) }?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe { launcher.pre_exec(hears_sighup) };
    launcher
}

pub fn set_group(launcher: &mut Command) {
    launcher.process_group(0);
}

/// As soon as the launcher knows that the session is ready.
fn launch_ready(launcher: Command) -> (Child, u32, TempDir) {
    let (launcher, qemu, folder) = launch_by(launcher, &BOOT);
    let status = || std::fs::read_to_string(folder.path().join("status")).ok();
    eventually("the launcher says ready", || status()?.contains("ready").then_some(()));
    (launcher, qemu, folder)
}

fn said(mut launcher: Child) -> String {
    let mut text = String::new();
    launcher.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(launcher.wait().unwrap().success());
    text
}

fn pid(launcher: &Child) -> Pid {
    Pid::from_raw(launcher.id() as i32)
}

#[test]
fn ctrl_c_in_the_terminal_reaches_the_launcher_and_not_qemu() {
    let (launcher, qemu, _folder) = launch_ready(launcher());
    killpg(pid(&launcher), Signal::SIGINT).unwrap();
    assert_eq!(said(launcher), "Stopped { by: Signal, clean: true }\n");
    assert!(is_gone(qemu));
}

#[test]
fn sigterm_and_a_closed_terminal_power_off_too() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (launcher, qemu, _folder) = launch_ready(launcher());
        kill(pid(&launcher), signal).unwrap();
        assert_eq!(said(launcher), "Stopped { by: Signal, clean: true }\n");
        assert!(is_gone(qemu));
    }
}

#[test]
fn a_request_that_comes_before_there_is_a_qemu_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = launcher();
    launcher.env("STOP_EARLY", "1").arg(folder.path()).arg(example("fake-qemu")).args(BOOT);
    let mut launcher = launcher.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the launcher ends", || launcher.try_wait().unwrap());
    assert!(said(launcher).starts_with("Stopped { by: Signal"));
}

#[test]
fn nohup_means_that_a_closed_terminal_is_no_request() {
    let mut nohup = Command::new("nohup");
    nohup.arg(example("launch-fake"));
    let (launcher, qemu, _folder) = launch_ready(nohup);
    kill(pid(&launcher), Signal::SIGHUP).unwrap();
    // Were it taken for a request to stop, it would be the first, and the guest be powered off.
    kill(Pid::from_raw(qemu as i32), Signal::SIGKILL).unwrap();
    assert!(said(launcher).starts_with("Died { reason: \"QEMU was ended by SIGKILL"));
}

/// An orphan is reaped by init, when that gets to it.
pub fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(is_gone(pid), |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
