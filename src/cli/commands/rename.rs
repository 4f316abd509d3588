//! `virtualghost rename`: gives a VM another name.

use crate::cli::output::print;
use crate::error::{Error, Result};
use crate::instance;
use crate::model::units::VmName;
use crate::sys::Dirs;
use std::process::ExitCode;

pub fn run(from: &VmName, to: &VmName) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    instance::existing(&dirs, from)?;
    if from == to {
        return Err(Error::bad_input(format!("{from} has that name already")));
    }
    instance::rename(&dirs, from, to)?;
    print(format_args!("renamed {from} to {to}"))
}
