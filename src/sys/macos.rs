//! macOS: no signal is sent when a parent dies, so a guard process watches the launcher and QEMU.

pub use super::unix::*;

use crate::error::Result;
use anyhow::Context;
use nix::errno::Errno;
use nix::libc;
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use nix::sys::signal::{self, Signal, kill as send_signal};
use nix::unistd::{Pid, getppid};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// In microseconds since 1970: `pbi_start_tvsec` and `pbi_start_tvusec` of proc_pidinfo's PROC_PIDTBSDINFO.
pub fn started(pid: u32) -> Option<u64> {
    // SAFETY: all zeros are a valid proc_bsdinfo.
    let mut info: libc::proc_bsdinfo = unsafe { std::mem::zeroed() };
    let size = i32::try_from(size_of_val(&info)).expect("it is some hundreds of bytes");
    let (pid, buffer) = (i32::try_from(pid).ok()?, (&raw mut info).cast());
    // SAFETY: the buffer is one proc_bsdinfo, and its size is passed.
    let read = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, buffer, size) };
    (read == size).then(|| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
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

/// Nothing to do: [`Guard`] does it.
pub fn die_with_launcher(_: &mut Command) -> io::Result<()> {
    Ok(())
}

/// A process that kills QEMU once the launcher has ended: [`guard`]. In a process group of its own: Ctrl-C must not end
/// it.
pub struct Guard(Child);

impl Guard {
    pub fn new(qemu: &Child) -> io::Result<Self> {
        Command::new(std::env::current_exe()?)
            .args(["guard", &std::process::id().to_string(), &qemu.id().to_string()])
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before QEMU is reaped: until then its number can't be reused.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What that process does: waits until either ends (kqueue(2), EVFILT_PROC with NOTE_EXIT), and kills QEMU if it was the
/// launcher.
///
/// # Errors
/// The kernel refuses to watch them, or to kill.
pub fn guard(launcher: i32, qemu: i32) -> Result<()> {
    let queue = Kqueue::new().context("kqueue")?;
    // QEMU first: while the launcher lives, which the second call shows, the number is QEMU's.
    let qemu_lives = watch(&queue, qemu)?;
    // If the launcher has died, the parent is another process.
    let launcher_lives = watch(&queue, launcher)? && getppid().as_raw() == launcher;
    if qemu_lives && launcher_lives {
        let mut ended = [exit_of(qemu); 2];
        let count = queue.kevent(&[], &mut ended, None).context("kevent")?;
        if ended[..count].iter().any(|event| event.ident() == qemu as usize) {
            return Ok(());
        }
    }
    if qemu_lives {
        send_signal(Pid::from_raw(qemu), Signal::SIGKILL).context("can't kill QEMU")?;
    }
    Ok(())
}

fn exit_of(process: i32) -> KEvent {
    let flags = EvFlags::EV_ADD | EvFlags::EV_ONESHOT;
    KEvent::new(process as usize, EventFilter::EVFILT_PROC, flags, FilterFlag::NOTE_EXIT, 0, 0)
}

/// Whether there is such a process; its end is then reported.
fn watch(queue: &Kqueue, process: i32) -> Result<bool> {
    match queue.kevent(&[exit_of(process)], &mut [], None) {
        Ok(_) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(e) => Err(anyhow::Error::new(e).context(format!("can't watch process {process}")).into()),
    }
}

/// The path itself: there is no shorter name for it.
pub fn short(path: &Path) -> io::Result<(PathBuf, ())> {
    Ok((path.to_owned(), ()))
}

/// Nothing to do: the final sync writes all of it.
pub fn start_writeback(_file: &File, _offset: u64, _length: u64) {}
