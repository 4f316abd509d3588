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

/// With the default action of SIGHUP, as in a terminal: the tests may run under nohup, and children inherit ignored signals.
pub fn launcher() -> Command {
    let mut launcher = Command::new(example("launch-fake"));
    let reset_sighup = || {
        // SAFETY: the default action is no handler of ours.
        unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) }?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call and does not allocate.
    unsafe { launcher.pre_exec(reset_sighup) };
    launcher
}

pub fn set_group(launcher: &mut Command) {
    launcher.process_group(0);
}

/// Starts the launcher, and waits until its session is ready.
fn launch_ready(launcher: Command) -> (Child, u32, TempDir) {
    let (launcher, qemu, folder) = launch_by(launcher, &BOOT);
    let status = || std::fs::read_to_string(folder.path().join("status")).ok();
    eventually("the launcher is ready", || status()?.contains("Ready").then_some(()));
    (launcher, qemu, folder)
}

fn stdout(mut launcher: Child) -> String {
    let mut text = String::new();
    launcher.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(launcher.wait().unwrap().success());
    text
}

fn pid(launcher: &Child) -> Pid {
    Pid::from_raw(launcher.id() as i32)
}

#[test]
fn ctrl_c_in_the_terminal_stops_the_launcher_and_qemu_does_not_get_it() {
    let (launcher, qemu, _folder) = launch_ready(launcher());
    killpg(pid(&launcher), Signal::SIGINT).unwrap();
    assert_eq!(stdout(launcher), "Stopped { by: Signal, clean: true }\n");
    assert!(is_gone(qemu));
}

#[test]
fn sigterm_and_a_closed_terminal_power_the_guest_off() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (launcher, qemu, _folder) = launch_ready(launcher());
        kill(pid(&launcher), signal).unwrap();
        assert_eq!(stdout(launcher), "Stopped { by: Signal, clean: true }\n");
        assert!(is_gone(qemu));
    }
}

/// systemd, a container engine and a closed terminal signal every process that they find.
#[test]
fn a_signal_to_the_launcher_and_qemu_at_once_powers_off_as_one_to_the_launcher_does() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let (launcher, qemu, _folder) = launch_ready(launcher());
        kill(Pid::from_raw(qemu as i32), signal).unwrap();
        kill(pid(&launcher), signal).unwrap();
        assert_eq!(stdout(launcher), "Stopped { by: Signal, clean: true }\n", "{signal}");
        assert!(is_gone(qemu));
    }
}

#[test]
fn a_request_before_qemus_start_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = launcher();
    launcher.env("STOP_EARLY", "1").arg(folder.path()).arg(example("fake-qemu")).args(BOOT);
    let mut launcher = launcher.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the launcher ends", || launcher.try_wait().unwrap());
    assert!(stdout(launcher).starts_with("Stopped { by: Signal"));
}

#[test]
fn under_nohup_a_closed_terminal_is_no_request() {
    let mut nohup = Command::new("nohup");
    nohup.arg(example("launch-fake"));
    let (launcher, qemu, _folder) = launch_ready(nohup);
    kill(pid(&launcher), Signal::SIGHUP).unwrap();
    // As a request to stop it would be the first, and the guest would power off.
    kill(Pid::from_raw(qemu as i32), Signal::SIGKILL).unwrap();
    let stdout = stdout(launcher);
    assert!(stdout.starts_with("Died") && stdout.contains("SIGKILL"), "{stdout}");
}

/// Whether an orphan has ended; init may reap it later.
pub fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(is_gone(pid), |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
