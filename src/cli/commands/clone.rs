//! `virtualghost clone`: copies what a VM keeps, for a new one.

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
        return Err(Error::bad_input("a clone needs a name of its own"));
    }
    instance::clone(&dirs, from, to)?;
    print(format_args!("cloned {from} to {to}; start it: virtualghost --name {to}"))
}
