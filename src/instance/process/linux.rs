//! Linux: process descriptors, which never mean another process than the one they were opened for.

use nix::libc;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// In clock ticks since the system's start: `starttime` of proc_pid_stat(5), the 22nd field.
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// SIGTERM, if the process `pid` is the one that started then.
pub fn ask_to_stop(pid: u32, started: u64) -> io::Result<()> {
    signal(pid, started, libc::SIGTERM)
}

/// SIGKILL, if the process `pid` is the one that started then.
pub fn kill(pid: u32, started: u64) -> io::Result<()> {
    signal(pid, started, libc::SIGKILL)
}

fn signal(pid: u32, since: u64, signal: i32) -> io::Result<()> {
    // SAFETY: pidfd_open(2) and pidfd_send_signal(2) take numbers and a null pointer; the descriptor is new and ours.
    unsafe {
        let descriptor = checked(libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0))?;
        let process = OwnedFd::from_raw_fd(descriptor as i32);
        // Looked at after it was opened: from here on it can't be another.
        if started(pid) != Some(since) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let no_info = std::ptr::null::<libc::siginfo_t>();
        checked(libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, no_info, 0))?;
    }
    Ok(())
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Nothing to do: they are signals.
pub fn allow_stop_requests(_raise: impl Fn() + Send + 'static) {}
