//! Snapshots of what a VM keeps: copies with tags, which a VM that is off can go back to.

use super::rename::running;
use super::{Kept, VmFiles, lock};
use crate::error::{Error, Result};
use crate::model::units::{SnapshotTag, VmName};
use crate::sys::Dirs;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// All snapshots of a VM, sorted by tag.
pub fn list(dirs: &Dirs, name: &VmName) -> Vec<SnapshotTag> {
    let entries = fs::read_dir(dirs.snapshots_path(name)).into_iter().flatten().flatten();
    let tags = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<SnapshotTag>().ok());
    let mut tags: Vec<_> = tags.filter(|tag| Kept::of_snapshot(dirs, name, tag).is_there()).collect();
    tags.sort();
    tags
}

/// Copies what the VM, which exists, keeps.
///
/// # Errors
/// It is running, it keeps nothing, it has a snapshot with this tag, or there is no space for the copy.
pub fn make(dirs: &Dirs, name: &VmName, tag: &SnapshotTag) -> Result<()> {
    let Some(_lock) = lock(&VmFiles::new(&dirs.vms_path(), name))? else { return Err(running(name)) };
    let snapshot = Kept::of_snapshot(dirs, name, tag);
    if snapshot.is_there() {
        return Err(Error::bad_input(format!("{name} has a snapshot {tag} already"))
            .hint(format!("use another tag, or remove that one: virtualghost rm {name} --snapshot {tag}")));
    }
    Kept::of_vm(dirs, name).copy_to(&snapshot, &dirs.copies_path())
}

/// Makes what the VM keeps the same as in the snapshot.
///
/// # Errors
/// It is running, there is no such snapshot, or no space for the copy.
pub fn restore(dirs: &Dirs, name: &VmName, tag: &SnapshotTag) -> Result<()> {
    let Some(_lock) = lock(&VmFiles::new(&dirs.vms_path(), name))? else { return Err(running(name)) };
    existing(dirs, name, tag)?.copy_to(&Kept::of_vm(dirs, name), &dirs.copies_path())
}

/// # Errors
/// There is no such snapshot, or it can't be removed.
pub fn remove(dirs: &Dirs, name: &VmName, tag: &SnapshotTag) -> Result<()> {
    let Some(_lock) = lock(&VmFiles::new(&dirs.vms_path(), name))? else { return Err(running(name)) };
    existing(dirs, name, tag)?;
    remove_folder(&dirs.snapshots_path(name).join(tag.as_str()))
}

/// # Errors
/// A file can't be removed.
pub fn remove_all(dirs: &Dirs, name: &VmName) -> Result<()> {
    remove_folder(&dirs.snapshots_path(name))
}

/// # Errors
/// There is none.
pub fn existing(dirs: &Dirs, name: &VmName, tag: &SnapshotTag) -> Result<Kept> {
    let snapshot = Kept::of_snapshot(dirs, name, tag);
    if snapshot.is_there() {
        return Ok(snapshot);
    }
    let tags: Vec<_> = list(dirs, name).iter().map(ToString::to_string).collect();
    let hint = match &tags[..] {
        [] => format!("make one: virtualghost snapshot {name}"),
        tags => format!("it has: {}", tags.join(", ")),
    };
    Err(Error::bad_input(format!("{name} has no snapshot {tag}")).hint(hint))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(anyhow::Error::new(e).context(format!("can't remove {}", folder.display())).into())
        }
        _ => Ok(()),
    }
}
