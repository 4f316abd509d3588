//! `virtualghost rm`: deletes a VM and what it keeps.

use crate::cli::output::print;
use crate::error::{Error, Kind, Result};
use crate::instance::{self, HomeFile, KeptDisk, KnownVm, System};
use crate::model::units::VmName;
use crate::sys::{Dirs, output};
use anyhow::Context;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

pub fn run(name: &VmName, yes: bool) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let found = instance::existing(&dirs, name)?;
    let kept = kept(&found);
    if found.running.is_none() && !yes && !kept.is_empty() && !confirmed(name, &kept)? {
        return Err(Error::new(Kind::Failed, format!("{name} was not removed")));
    }
    instance::remove(&dirs.vms_path(), name, || {
        System::at(dirs.system_path(name)).remove()?;
        HomeFile::at(dirs.home_path(name)).remove()
    })?;
    print(format_args!("removed {name}{}", with(kept.iter().map(|(what, _)| format!("its {what}")))))
}

/// What would be lost.
fn kept(vm: &KnownVm) -> Vec<(&'static str, &KeptDisk)> {
    let disks = [("home", &vm.home), ("system", &vm.system)];
    disks.into_iter().filter_map(|(what, disk)| Some((what, disk.as_ref()?))).collect()
}

/// To be put behind the VM's name.
fn with(parts: impl Iterator<Item = String>) -> String {
    parts.map(|part| format!(" and {part}")).collect()
}

fn confirmed(name: &VmName, kept: &[(&str, &KeptDisk)]) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let what = with(kept.iter().map(|(what, _)| format!("its {what}")));
        return Err(Error::bad_input(format!(
            "refusing to delete {name}{what} without confirmation: standard input is not a terminal"
        ))
        .hint(format!("to delete them anyway: virtualghost rm --yes {name}")));
    }
    let what = with(kept.iter().map(|(what, disk)| {
        format!("its {what}, {} ({} MiB)", disk.path.display(), disk.bytes_on_disk >> 20)
    }));
    output::question(format_args!("delete {name}{what}? [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
