//! Windows: a program can't become another, so it is waited for. Ctrl-C goes to both; ssh takes it.

use super::proxy::{Stream, stream};
use crate::error::Result;
use anyhow::Context;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::process::{Command, ExitCode};
use std::time::Duration;
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;

/// What brings `ssh` and `scp`.
pub const INSTALL_CLIENT: &str =
    "as administrator, in PowerShell: Add-WindowsCapability -Online -Name OpenSSH.Client~~~~0.0.1.0";

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

pub fn connect_vsock(_cid: u32, _port: u32) -> io::Result<Box<dyn Stream>> {
    Err(io::ErrorKind::Unsupported.into())
}
