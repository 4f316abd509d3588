//! All VMs that are on this machine, running or not: each has a folder with its logs, and may keep a home and a system.

use super::{Kept, RunningVm, VmFiles, running, snapshots};
use crate::error::{Error, Result};
use crate::model::units::{SnapshotTag, VmName};
use crate::share::copy::WorkingCopy;
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
    pub home: Option<KeptDisk>,
    pub system: Option<KeptDisk>,
    pub snapshots: Vec<SnapshotTag>,
    /// The folders of the host that it works on copies of.
    pub copies: Vec<PathBuf>,
    /// When its disks or its console were last written; None if nothing is there.
    pub last_used: Option<SystemTime>,
}

#[derive(Debug, Clone)]
pub struct KeptDisk {
    pub path: PathBuf,
    pub bytes_on_disk: u64,
}

/// All of them, sorted by name.
pub fn known(dirs: &Dirs) -> Vec<KnownVm> {
    let vms = dirs.vms_path();
    let homes = dirs.homes_path();
    let of_homes = entries(&homes).filter_map(|name| name.strip_suffix(".img")?.parse::<VmName>().ok());
    let folders =
        [vms.clone(), dirs.systems_path(), dirs.all_snapshots_path(), dirs.all_working_copies_path()];
    let of_folders =
        folders.iter().flat_map(|all| entries(all)).filter_map(|name| name.parse::<VmName>().ok());
    let names: BTreeSet<_> = of_folders.chain(of_homes).collect();
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
    Err(Error::bad_input(format!("no VM named {name} exists: it has no home, no system and no logs"))
        .hint("list all VMs: virtualghost ls"))
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn look_at(dirs: &Dirs, vms: &Path, name: VmName) -> KnownVm {
    let Kept { home, system } = Kept::of_vm(dirs, &name);
    let console = VmFiles::new(vms, &name).console_log_path();
    let written = |path: &Path| fs::metadata(path).ok()?.modified().ok();
    KnownVm {
        running: running(vms, &name),
        last_used: written(home.path()).max(written(&system.disk_path())).max(written(&console)),
        home: kept(home.path().to_owned(), home.bytes_on_disk()),
        snapshots: snapshots::list(dirs, &name),
        copies: WorkingCopy::all(dirs, &name).iter().filter_map(WorkingCopy::origin).collect(),
        system: kept(system.disk_path(), system.bytes_on_disk()),
        name,
    }
}

fn kept(path: PathBuf, bytes_on_disk: Option<u64>) -> Option<KeptDisk> {
    Some(KeptDisk { path, bytes_on_disk: bytes_on_disk? })
}

impl KnownVm {
    fn is_there(&self) -> bool {
        self.running.is_some()
            || self.last_used.is_some()
            || !self.snapshots.is_empty()
            || !self.copies.is_empty()
    }
}
