//! `virtualghost ssh`: opens a shell in a VM, or runs a shell command in it.

use super::reachable;
use crate::error::Result;
use crate::model::units::VmName;
use crate::remote::shown::{self, Output};
use crate::remote::{self, Terminal};
use std::ffi::OsString;
use std::process::ExitCode;

/// `tty`: how often a terminal was asked for.
pub fn run(
    name: Option<&VmName>,
    root: bool,
    tty: u8,
    output: Output,
    command: &[OsString],
) -> Result<ExitCode> {
    let vm = reachable(name)?;
    let terminal = Terminal::wanted(tty, command);
    let ssh = remote::ssh(&vm.files.ssh_config_path(), &vm.name, root, terminal, command);
    if shown::is_as_it_is(output) { remote::hand_over(ssh) } else { shown::run(ssh) }
}
