//! `virtualghost ssh`: opens a shell in a VM, or runs a shell command in it.

use super::reachable;
use crate::error::Result;
use crate::model::units::VmName;
use crate::remote::{self, Terminal};
use std::ffi::OsString;
use std::process::ExitCode;

/// `tty`: how often a terminal was asked for.
pub fn run(name: Option<&VmName>, root: bool, tty: u8, command: &[OsString]) -> Result<ExitCode> {
    let vm = reachable(name)?;
    let terminal = Terminal::wanted(tty, command);
    remote::hand_over(remote::ssh(&vm.files.ssh_config_path(), &vm.name, root, terminal, command))
}
