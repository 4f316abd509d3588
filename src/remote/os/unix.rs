//! Unix: one program can become another.

use super::proxy::{Stream, stream};
use crate::error::Result;
use crate::sys::sockets;
use anyhow::Context;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// How a path is quoted for the shell that runs OpenSSH's ProxyCommand, sh(1): with this around it, and the first of each
/// pair in it replaced by the second. OpenSSH itself reads `%%` as one `%`.
pub const SHELL_QUOTE: u8 = b'\'';
pub const SHELL_ESCAPES: &[(u8, &[u8])] = &[(b'%', b"%%"), (b'\'', b"'\\''")];

/// Whether OpenSSH has connections that several programs share.
pub const SHARES_CONNECTIONS: bool = true;

/// Whether ssh works with a pipe in the place of the terminal that it prints to: it asks its standard input about the terminal.
pub const FILTERS: bool = true;

/// What brings `ssh` and `scp`.
pub const INSTALL_CLIENT: &str = "install it; on Debian: sudo apt-get install openssh-client";

/// What makes a user known to ssh.
pub const ADD_USER: &str =
    "as root: echo \"me:x:UID:GID::$HOME:/bin/sh\" >>/etc/passwd, with the numbers of `id -u` and `id -g`";

/// Becomes the program: its terminal, its signals, its exit status.
///
/// # Errors
/// It can't be started.
pub fn hand_over(mut command: Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("can't start {}", command.get_program().display()))?
}

stream!(TcpStream);
// A socket of another family than that of its type: reading, writing and shutting down are the same calls.
stream!(UnixStream);

/// Connects to the private socket of a VM.
pub fn connect_socket(path: &Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(sockets::connect(path)?))
}

/// Connects to `port` of the guest with this context id (vsock(7)).
pub fn connect_vsock(cid: u32, port: u32) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(UnixStream::from(vsock::connect(cid, port)?)))
}

#[cfg_attr(target_os = "linux", path = "vsock_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "vsock_none.rs")]
mod vsock;
