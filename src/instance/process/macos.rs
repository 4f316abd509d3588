//! macOS: signals, and what the kernel tells of a process.

use nix::libc;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::io;

/// In microseconds since 1970: `pbi_start_tvsec` and `pbi_start_tvusec` of proc_pidinfo's PROC_PIDTBSDINFO.
pub fn started(pid: u32) -> Option<u64> {
    // SAFETY: the buffer is one proc_bsdinfo, for which all zeros are valid, and its size is told.
    unsafe {
        let mut info: libc::proc_bsdinfo = std::mem::zeroed();
        let size = size_of_val(&info) as i32;
        let read = libc::proc_pidinfo(pid as i32, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size);
        (read == size).then(|| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
    }
}

pub fn ask_to_stop(pid: u32, since: u64) -> io::Result<()> {
    send(pid, since, Signal::SIGTERM)
}

pub fn kill(pid: u32, since: u64) -> io::Result<()> {
    send(pid, since, Signal::SIGKILL)
}

fn send(pid: u32, since: u64, signal: Signal) -> io::Result<()> {
    if started(pid) != Some(since) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(signal::kill(Pid::from_raw(pid as i32), signal)?)
}

/// Nothing to do: they are signals.
pub fn allow_stop_requests(_raise: impl Fn() + Send + 'static) {}
