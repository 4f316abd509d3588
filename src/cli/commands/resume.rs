//! `virtualghost resume`: lets a VM run again that a full disk has paused.

use crate::cli::output::print;
use crate::error::{Error, Result};
use crate::instance::{self, Phase};
use crate::model::units::VmName;
use crate::sys::Dirs;
use anyhow::Context;
use std::fs::File;
use std::process::ExitCode;

pub fn run(name: Option<&VmName>) -> Result<ExitCode> {
    let vm = instance::find(&Dirs::find()?.vms_path(), name)?;
    if vm.state.is_none_or(|state| state.state != Phase::Paused) {
        return Err(
            Error::bad_input(format!("{} is not paused", vm.name)).hint("see the VMs: virtualghost ps")
        );
    }
    // An empty file needs no space but its name's.
    let path = vm.files.resume_request_path();
    File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    print(format_args!("{} will run again in a moment, if its disk can be written", vm.name))
}
