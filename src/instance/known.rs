//! All VMs that are on this machine, running or not: each has a folder with its logs, and may keep a home.

use super::{HomeFile, RunningVm, VmFiles, running};
use crate::error::{Error, Result};
use crate::model::units::VmName;
use crate::sys::Dirs;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A VM that `rm` can remove.
#[derive(Debug, Clone)]
pub struct KnownVm {
    pub name: VmName,
    pub running: Option<RunningVm>,
    pub home: Option<KeptHome>,
    /// When its home or its console was last written; None if neither is there.
    pub last_used: Option<SystemTime>,
}

#[derive(Debug, Clone)]
pub struct KeptHome {
    pub path: PathBuf,
    pub bytes_on_disk: u64,
}

/// All of them, sorted by name.
pub fn known(dirs: &Dirs) -> Vec<KnownVm> {
    let vms = dirs.vms_path();
    let homes = dirs.homes_path();
    let of_vms = entries(&vms).filter_map(|name| name.parse::<VmName>().ok());
    let of_homes = entries(&homes).filter_map(|name| name.strip_suffix(".img")?.parse::<VmName>().ok());
    let names: BTreeSet<_> = of_vms.chain(of_homes).collect();
    names.into_iter().map(|name| look_at(dirs, &vms, name)).filter(KnownVm::is_there).collect()
}

/// The VM with this name.
///
/// # Errors
/// There is none.
pub fn existing(dirs: &Dirs, name: &VmName) -> Result<KnownVm> {
    let found = look_at(dirs, &dirs.vms_path(), name.clone());
    if found.is_there() {
        return Ok(found);
    }
    Err(Error::bad_input(format!("no VM named {name} exists: it has neither a home nor logs"))
        .hint("list all VMs: virtualghost ls"))
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn look_at(dirs: &Dirs, vms: &Path, name: VmName) -> KnownVm {
    let home = HomeFile::at(dirs.home_path(&name));
    let console = VmFiles::new(vms, &name).console_log_path();
    let written = |path: &Path| fs::metadata(path).ok()?.modified().ok();
    KnownVm {
        running: running(vms, &name),
        last_used: written(home.path()).max(written(&console)),
        home: home
            .bytes_on_disk()
            .map(|bytes_on_disk| KeptHome { path: home.path().to_owned(), bytes_on_disk }),
        name,
    }
}

impl KnownVm {
    fn is_there(&self) -> bool {
        self.running.is_some() || self.last_used.is_some()
    }
}
