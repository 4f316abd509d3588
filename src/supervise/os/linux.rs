//! Linux: the kernel kills QEMU when its parent thread ends.

pub use super::unix::{
    Ends, Links, StopRequests, exit, is_crash, share, signal_name, take_over_stop_requests, terminate,
};

use crate::error::{Error, Result};
use nix::sys::{prctl, signal::Signal};
use nix::unistd::getppid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// prctl(2), PR_SET_PDEATHSIG: the signal comes when the thread that forked ends, however it does; so that
/// thread has to be the one that waits for QEMU. It survives the exec of a program without privileges.
pub fn die_with_launcher(command: &mut Command) -> io::Result<()> {
    let launcher = std::process::id();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A launcher that died before this call sends nothing any more.
        if getppid().as_raw() as u32 != launcher {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec, `ask` makes two system calls and allocates nothing.
    unsafe { command.pre_exec(ask) };
    Ok(())
}

/// Nothing more to hold.
pub struct Guard;

impl Guard {
    pub fn new(_: &Child) -> io::Result<Self> {
        Ok(Self)
    }
}

/// What macOS needs.
///
/// # Errors
/// Always: here QEMU ends with the launcher without it.
pub fn guard(_: i32, _: i32) -> Result<()> {
    Err(Error::bad_input("only macOS has a process that guards QEMU"))
}
