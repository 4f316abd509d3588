//! `virtualghost cp`: copies files and folders to or from a VM.

use crate::error::{Error, Result};
use crate::instance::{self, VmFiles};
use crate::remote::{self, copy};
use crate::sys::{Dirs, StopHandle};
use anyhow::Context;
use std::ffi::OsString;
use std::process::ExitCode;

pub fn run(paths: &[OsString]) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let ends = paths.iter().map(|path| remote::end(path)).collect::<Result<Vec<_>>>()?;
    let mut guests = ends.iter().filter_map(|end| match end {
        remote::End::Guest(name, _) => Some(name),
        remote::End::Host(_) => None,
    });
    let first = guests.next().ok_or_else(|| {
        Error::bad_input("none of the paths is in a VM").hint("write NAME:PATH for a path in a VM")
    })?;
    for name in std::iter::once(first).chain(guests) {
        instance::find(&vms, Some(name))?;
    }
    remote::check_client()?;
    let stop = StopHandle::of_this_process().context("can't handle Ctrl-C")?;
    copy::copy(&ends, |name| VmFiles::new(&vms, name).ssh_config_path(), &stop)?;
    Ok(ExitCode::SUCCESS)
}
