//! Processes: those of other launchers, identified by number and start time, and the child that a launcher owns.

use super::os;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::PathBuf;

pub use os::{
    Guard, die_with_launcher, exit, guard, ignore_passed_on_signals, ignore_stop_signals, leave_terminal,
    share, was_continued,
};

/// The path of this program.
///
/// # Errors
/// The system does not know it: /proc is not mounted, or the file was deleted.
pub fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("can't find the path of this program")
}

/// A process, identified even if its number is reused later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// When it started, in a unit that depends on the system.
    pub started: u64,
}

impl ProcessId {
    pub fn of_this_process() -> Self {
        let pid = std::process::id();
        Self { pid, started: os::started(pid).unwrap_or_default() }
    }

    /// The process that has this number now, if one does.
    pub fn of(pid: u32) -> Option<Self> {
        os::started(pid).map(|started| Self { pid, started })
    }

    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Requests an orderly stop: SIGTERM, or the event that a launcher waits for (Windows).
    ///
    /// # Errors
    /// It has ended, or is another user's.
    pub fn ask_to_stop(self) -> io::Result<()> {
        os::ask_to_stop(self.pid, self.started)
    }

    /// # Errors
    /// It has ended, or is another user's.
    pub fn kill(self) -> io::Result<()> {
        os::kill(self.pid, self.started)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl Exit {
    /// By a fault of its own, not on request.
    pub fn is_crash(self) -> bool {
        matches!(self, Self::Signal(signal) if os::is_crash(signal))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "was ended by {}", os::signal_name(*signal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_with_the_same_number_and_another_start_time_gets_no_signal() {
        let me = ProcessId::of_this_process();
        assert!(me.is_alive());
        // If it were sent, this test would end here.
        assert!(ProcessId { started: me.started + 1, ..me }.kill().is_err());
        assert!(ProcessId { started: me.started - 1, ..me }.ask_to_stop().is_err());
    }

    #[test]
    fn a_process_that_has_ended_is_not_alive_even_for_its_parent() {
        // Any program will do.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--list", "no such test"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        child.wait().unwrap();
        assert!(!id.is_alive() && ProcessId::of(child.id()).is_none());
    }
}
