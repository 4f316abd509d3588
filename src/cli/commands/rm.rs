//! `virtualghost rm`: deletes a VM and its home.

use crate::cli::output::print;
use crate::error::{Error, Kind, Result};
use crate::instance::{self, HomeFile};
use crate::model::units::VmName;
use crate::sys::{Dirs, output};
use anyhow::Context;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

pub fn run(name: &VmName, yes: bool) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let vms = dirs.vms_path();
    let home = HomeFile::at(dirs.home_path(name));
    let found = instance::existing(&dirs, name)?;
    let kept = found.home;
    if found.running.is_none() && !yes && kept.is_some() && !confirmed(name, &home)? {
        return Err(Error::new(Kind::Failed, format!("{name} was not removed")));
    }
    instance::remove(&vms, name, || home.remove())?;
    print(format_args!("removed {name}{}", if kept.is_some() { " and its home" } else { "" }))
}

fn confirmed(name: &VmName, home: &HomeFile) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::bad_input(format!(
            "refusing to delete {name} and its home without confirmation: standard input is not a terminal"
        ))
        .hint(format!("to delete them anyway: virtualghost rm --yes {name}")));
    }
    let mib = home.bytes_on_disk().unwrap_or_default() >> 20;
    output::question(format_args!(
        "delete {name} and its home, {} ({mib} MiB)? [y/N] ",
        home.path().display()
    ));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
