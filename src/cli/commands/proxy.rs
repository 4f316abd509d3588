//! `virtualghost proxy`: connects OpenSSH to a VM (its ProxyCommand).

use crate::error::Result;
use crate::model::units::VmName;
use crate::remote::proxy;
use crate::sys::Dirs;
use std::path::Path;
use std::process::ExitCode;

/// `vms`: the folder of the VMs, where the environment may name another one than that of the user's terminal.
pub fn run(name: &VmName, vms: Option<&Path>) -> Result<ExitCode> {
    match vms {
        Some(vms) => proxy::run(vms, name)?,
        None => proxy::run(&Dirs::find()?.vms_path(), name)?,
    }
    Ok(ExitCode::SUCCESS)
}
