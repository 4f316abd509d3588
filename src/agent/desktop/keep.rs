//! Runs a program, and runs it again when it has crashed: what else runs in this machine goes on.

use super::{FIRST_SHELL, in_own_group, tell};
use crate::agent::status::{self, RUNTIME};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// More crashes than this within `WINDOW` are a program that does not work here.
const MOST: usize = 2;
const WINDOW: Duration = Duration::from_secs(60);

/// Runs what `command` returns until it has ended without a crash, and returns its status; that of a shell for a signal.
///
/// # Errors
/// It can't be started, or the host can't be told.
pub fn keep(what: &str, mut command: impl FnMut() -> io::Result<Command>) -> io::Result<i32> {
    let mut crashes = Crashes::default();
    loop {
        let mut child = in_own_group(&mut command()?).spawn()?;
        let group = Pid::from_raw(child.id() as i32);
        let status = child.wait()?;
        let Some(signal) = crash(status) else { return Ok(shell_status(status)) };
        // What it had started.
        let _ = killpg(group, Signal::SIGTERM);
        if !crashes.may_run_again(Instant::now()) {
            let message = format!("{what} crashed {} times in a minute ({signal})", MOST + 1);
            status::report(["failed".to_owned(), message].into_iter())?;
            return Ok(shell_status(status));
        }
        // The next first shell is reported as one.
        let _ = fs::remove_file(Path::new(RUNTIME).join(FIRST_SHELL));
        tell(&format!("{what} crashed ({signal}) and was started again; the rest of the VM goes on"))?;
    }
}

/// The signal that ended it, unless that was a request to end.
fn crash(status: ExitStatus) -> Option<Signal> {
    let signal = Signal::try_from(status.signal()?).ok()?;
    let is_request = matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP | Signal::SIGPIPE);
    (!is_request).then_some(signal)
}

fn shell_status(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1)
}

#[derive(Debug, Default)]
struct Crashes(Vec<Instant>);

impl Crashes {
    fn may_run_again(&mut self, now: Instant) -> bool {
        self.0.retain(|&at| now.duration_since(at) < WINDOW);
        self.0.push(now);
        self.0.len() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_an_end_by_a_signal_that_is_no_request() {
        for (wait_status, is_crash, status) in [
            (0, None, 0),
            (7 << 8, None, 7),
            // A shell whose last command crashed.
            (139 << 8, None, 139),
            (Signal::SIGTERM as i32, None, 143),
            (Signal::SIGHUP as i32, None, 129),
            (Signal::SIGSEGV as i32 | 0x80, Some(Signal::SIGSEGV), 139),
            (Signal::SIGKILL as i32, Some(Signal::SIGKILL), 137),
            (Signal::SIGABRT as i32, Some(Signal::SIGABRT), 134),
        ] {
            let ended = ExitStatus::from_raw(wait_status);
            assert_eq!((crash(ended), shell_status(ended)), (is_crash, status), "{wait_status}");
        }
    }

    #[test]
    fn a_program_that_crashes_all_the_time_is_given_up() {
        let (mut crashes, now) = (Crashes::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(crashes.may_run_again(now) && crashes.may_run_again(after(1)));
        assert!(!crashes.may_run_again(after(2)));
        assert!(crashes.may_run_again(after(120)), "the user works, and it crashes now and then");
    }

    #[test]
    fn a_program_that_ends_by_itself_runs_once() {
        let mut runs = 0;
        let status = keep("a test", || {
            runs += 1;
            let mut command = Command::new("sh");
            command.args(["-c", "exit 5"]);
            Ok(command)
        });
        assert_eq!((status.unwrap(), runs), (5, 1));
    }
}
