//! A VM with all that another one keeps.

use super::rename::{running, taken};
use super::{HomeFile, System, VmFiles, disk_copy, lock};
use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies the home and the system of `from`, which exists, for the new VM `to`. Both names are reserved meanwhile. A copy has
/// its name once it is complete; what a clone that was killed has left is overwritten by the next one.
///
/// # Errors
/// It is running, it keeps nothing, there is a VM named `to`, or there is no space for the copy.
pub fn clone(dirs: &Dirs, from: &VmName, to: &VmName) -> Result<()> {
    let vms = dirs.vms_path();
    let Some(_lock) = lock(&VmFiles::new(&vms, from))? else { return Err(running(from)) };
    let new = VmFiles::new(&vms, to);
    let Some(new_lock) = lock(&new)? else { return Err(taken(to)) };
    let homes = [from, to].map(|name| HomeFile::at(dirs.home_path(name)));
    let systems = [from, to].map(|name| System::at(dirs.system_path(name)));
    if homes[1].bytes_on_disk().is_some() || systems[1].exists() || new.console_log_path().exists() {
        return Err(taken(to));
    }
    let copied = copies(&homes, &systems).and_then(|copies| {
        let begun: Result<Vec<_>> = copies.iter().map(Copy::make).collect();
        if begun.is_err() {
            copies.iter().for_each(Copy::discard);
        }
        begun?;
        copies.iter().try_for_each(Copy::publish)
    });
    if copied.is_err() {
        let _ = files::remove_locked(&new.0, new_lock);
    }
    copied
}

/// In the order in which they get their names: a system without its image would be none.
fn copies(homes: &[HomeFile; 2], systems: &[System; 2]) -> Result<Vec<Copy>> {
    let mut copies = Vec::new();
    if systems[0].exists() {
        files::create_private(systems[1].path())?;
        copies.push(Copy::of(systems[0].image_path(), systems[1].image_path(), disk_copy::link_or_copy));
        if systems[0].made_from_path().exists() {
            copies.push(Copy::of(systems[0].made_from_path(), systems[1].made_from_path(), disk_copy::copy));
        }
        copies.push(Copy::of(systems[0].disk_path(), systems[1].disk_path(), disk_copy::copy));
    }
    if homes[0].bytes_on_disk().is_some() {
        let to = homes[1].path().to_owned();
        files::create_private(to.parent().expect("it is in a folder"))?;
        copies.push(Copy::of(homes[0].path().to_owned(), to, disk_copy::copy));
    }
    if copies.is_empty() {
        return Err(Error::bad_input("it keeps nothing that can be copied: it has no home and no system"));
    }
    Ok(copies)
}

struct Copy {
    from: PathBuf,
    to: PathBuf,
    unfinished: PathBuf,
    make: fn(&Path, &Path) -> std::io::Result<()>,
}

impl Copy {
    fn of(from: PathBuf, to: PathBuf, make: fn(&Path, &Path) -> std::io::Result<()>) -> Self {
        let unfinished = to.with_extension("new");
        Self { from, to, unfinished, make }
    }

    fn make(&self) -> Result<()> {
        let cannot = || format!("can't copy {} to {}", self.from.display(), self.to.display());
        files::remove_if_there(&self.unfinished).with_context(cannot)?;
        match (self.make)(&self.from, &self.unfinished) {
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => {
                let bytes = fs::symlink_metadata(&self.from).map_or(0, |file| files::bytes_on_disk(&file));
                Err(Error::new(Kind::Failed, format!("{}: the disk is full", cannot())).hint(format!(
                    "free {} MiB, or set XDG_DATA_HOME to a folder on a larger disk",
                    bytes.div_ceil(1 << 20)
                )))
            }
            made => Ok(made.with_context(cannot)?),
        }
    }

    fn publish(&self) -> Result<()> {
        let cannot = || format!("can't rename {} to {}", self.unfinished.display(), self.to.display());
        Ok(files::rename(&self.unfinished, &self.to).with_context(cannot)?)
    }

    fn discard(&self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}
