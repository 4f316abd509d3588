//! macOS: no signal comes when a parent dies, so a process of ours watches both, the launcher and QEMU.

pub use super::unix::{
    Ends, Links, StopRequests, exit, is_crash, share, signal_name, take_over_stop_requests, terminate,
};

use crate::error::Result;
use anyhow::Context;
use nix::errno::Errno;
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Nothing: [`Guard`] does.
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
        // Before QEMU is reaped: until then its number is nobody else's.
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
    // QEMU first: as long as the launcher lives, which the second call shows, the number is QEMU's.
    let qemu_lives = watch(&queue, qemu)?;
    // A process that lost its parent has another one.
    let launcher_lives = watch(&queue, launcher)? && getppid().as_raw() == launcher;
    if qemu_lives && launcher_lives {
        let mut ended = [exit_of(qemu); 2];
        let count = queue.kevent(&[], &mut ended, None).context("kevent")?;
        if ended[..count].iter().any(|event| event.ident() == qemu as usize) {
            return Ok(());
        }
    }
    if qemu_lives {
        kill(Pid::from_raw(qemu), Signal::SIGKILL).context("can't kill QEMU")?;
    }
    Ok(())
}

fn exit_of(process: i32) -> KEvent {
    let flags = EvFlags::EV_ADD | EvFlags::EV_ONESHOT;
    KEvent::new(process as usize, EventFilter::EVFILT_PROC, flags, FilterFlag::NOTE_EXIT, 0, 0)
}

/// Whether there is such a process; then its end is told.
fn watch(queue: &Kqueue, process: i32) -> Result<bool> {
    match queue.kevent(&[exit_of(process)], &mut [], None) {
        Ok(_) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(e) => Err(anyhow::Error::new(e).context(format!("can't watch process {process}")).into()),
    }
}
