//! `virtualghost ssh-config`: prints a configuration for OpenSSH, or installs it.

use crate::cli::output::{print, print_bytes};
use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::remote::{config, install};
use crate::sys::{Dirs, dirs, process};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub fn run(name: Option<&VmName>) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let text = match name {
        Some(name) => config::of_vm(name, &vms, &process::this_program()?),
        None => config::of_all(&vms),
    };
    print_bytes(&text)
}

/// `file`: another configuration than the one that ssh reads.
pub fn install(file: Option<&Path>) -> Result<ExitCode> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => own_config_path()?,
    };
    let is_new = install::install(&path, &config::include(&Dirs::find()?.vms_path()))?;
    let path = path.display();
    print(match is_new {
        true => format!("{path} now includes the configuration of all VMs: ssh vg-NAME"),
        false => format!("{path} includes the configuration of all VMs already"),
    })
}

fn own_config_path() -> Result<PathBuf> {
    let home = dirs::home_of_ssh().ok_or_else(|| {
        Error::new(
            Kind::Failed,
            "the user database has no home folder for you, where ssh has its configuration",
        )
        .hint("name the file: virtualghost ssh-config --install=FILE")
    })?;
    Ok(home.join(".ssh").join("config"))
}
