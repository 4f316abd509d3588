//! Windows: a program can't become another, so it is waited for. Ctrl-C goes to both; ssh takes it.

use super::proxy::{Stream, stream};
use crate::error::Result;
use anyhow::Context;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;

/// How a path is quoted for the shell that runs OpenSSH's ProxyCommand, cmd: with this around it, and the first of each
/// pair in it replaced by the second. OpenSSH itself reads `%%` as one `%`.
pub const SHELL_QUOTE: u8 = b'"';
pub const SHELL_ESCAPES: &[(u8, &[u8])] = &[(b'%', b"%%")];

/// Whether OpenSSH has connections that several programs share.
pub const SHARES_CONNECTIONS: bool = false;

/// ssh sets up the console that it prints to, so it has to be one.
pub const FILTERS: bool = false;

/// What brings `ssh` and `scp`.
pub const INSTALL_CLIENT: &str =
    "as administrator, in PowerShell: Add-WindowsCapability -Online -Name OpenSSH.Client~~~~0.0.1.0";

/// What makes a user known to ssh.
pub const ADD_USER: &str = "sign in as a user with a profile folder";

/// Runs the program in its place and takes its exit status.
///
/// # Errors
/// It can't be started.
pub fn hand_over(mut command: Command) -> Result<ExitCode> {
    // SAFETY: the handler is a function for as long as the program runs.
    unsafe { SetConsoleCtrlHandler(Some(leave_to_ssh), 1) };
    let status =
        command.status().with_context(|| format!("can't start {}", command.get_program().display()))?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(255)).unwrap_or(255)))
}

unsafe extern "system" fn leave_to_ssh(_: u32) -> i32 {
    1
}

stream!(TcpStream);

pub fn connect_socket(_: &Path) -> io::Result<Box<dyn Stream>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn connect_vsock(_cid: u32, _port: u32) -> io::Result<Box<dyn Stream>> {
    Err(io::ErrorKind::Unsupported.into())
}
