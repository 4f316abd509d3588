//! Linux: process descriptors, death signals, write-back.

pub use super::no_guard::{Guard, guard};
pub use super::unix::*;

use nix::libc;
use nix::sys::{prctl, signal::Signal};
use nix::unistd::getppid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In clock ticks since boot: `starttime` of proc_pid_stat(5), the 22nd field.
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, in parentheses, may contain anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// SIGTERM, if the process `pid` is the one that started then.
pub fn ask_to_stop(pid: u32, started: u64) -> io::Result<()> {
    signal(pid, started, rustix::process::Signal::TERM)
}

/// SIGKILL, if the process `pid` is the one that started then.
pub fn kill(pid: u32, started: u64) -> io::Result<()> {
    signal(pid, started, rustix::process::Signal::KILL)
}

fn signal(pid: u32, since: u64, signal: rustix::process::Signal) -> io::Result<()> {
    let number =
        pid.try_into().ok().and_then(rustix::process::Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(number, PidfdFlags::empty())?;
    // Compared after the open: from here on the descriptor can't mean another process.
    if started(pid) != Some(since) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(pidfd_send_signal(process, signal)?)
}

/// prctl(2), PR_SET_PDEATHSIG: the signal is sent when the thread that forked ends, for whatever reason; so the same
/// thread must wait for QEMU. The setting survives the exec of a program without privileges.
pub fn die_with_launcher(command: &mut Command) -> io::Result<()> {
    let launcher = std::process::id();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // If the launcher died before this call, no signal will be sent.
        if getppid().as_raw() as u32 != launcher {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec, `ask` makes two system calls and allocates nothing.
    unsafe { command.pre_exec(ask) };
    Ok(())
}

/// A short name for a path, which lasts as long as the folder that is returned with it: an address of a socket has 108 bytes
/// (unix(7)).
pub fn short(path: &Path) -> io::Result<(PathBuf, File)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(folder)?;
    Ok((Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name), folder))
}

/// Starts to write these bytes of `file` to the disk, without waiting: otherwise the kernel would start at the final sync,
/// which also reports any error.
pub fn start_writeback(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: numbers, and the descriptor of an open file. (nix does not know the call.)
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
