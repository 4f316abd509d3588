//! Unix: one program can become another.

use super::proxy::{Stream, stream};
use crate::error::Result;
use anyhow::Context;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// What brings `ssh` and `scp`.
pub const INSTALL_CLIENT: &str = "install it; on Debian: sudo apt-get install openssh-client";

/// Becomes the program: its terminal, its signals, its exit status.
///
/// # Errors
/// It can't be started.
pub fn hand_over(mut command: Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("can't start {}", command.get_program().display()))?
}

stream!(TcpStream);
// A socket of another family than its own type says: reading, writing and shutting down are the same calls.
stream!(UnixStream);

/// Connects to `port` of the guest with this context id (vsock(7)).
pub fn connect_vsock(cid: u32, port: u32) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(UnixStream::from(vsock::connect(cid, port)?)))
}

#[cfg_attr(target_os = "linux", path = "vsock_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "vsock_none.rs")]
mod vsock;
