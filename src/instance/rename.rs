//! A VM gets another name: what it keeps, and its logs.

use super::{Kept, VmFiles, lock, snapshots};
use crate::error::{Error, Result};
use crate::model::units::VmName;
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::io;
use std::path::Path;

/// Renames the VM `from`, which exists, to `to`. Both names are reserved meanwhile. Whenever this process is killed, the home,
/// the system and the snapshots are there, each whole, under one of the names.
///
/// # Errors
/// It is running, there is a VM named `to`, or a file can't be renamed.
pub fn rename(dirs: &Dirs, from: &VmName, to: &VmName) -> Result<()> {
    let vms = dirs.vms_path();
    let (old, new) = (VmFiles::new(&vms, from), VmFiles::new(&vms, to));
    let Some(old_lock) = lock(&old)? else { return Err(running(from)) };
    let Some(_new_lock) = lock(&new)? else { return Err(taken(to)) };
    let [old_kept, new_kept] = [from, to].map(|name| Kept::of_vm(dirs, name));
    if exists(dirs, to) {
        return Err(taken(to));
    }
    // One that was killed while it got its names may have left some.
    new_kept.remove()?;
    snapshots::remove_all(dirs, to)?;
    move_file(&dirs.snapshots_path(from), &dirs.snapshots_path(to))?;
    move_file(&dirs.working_copies_path(from), &dirs.working_copies_path(to))?;
    move_file(old_kept.system.path(), new_kept.system.path())?;
    move_file(old_kept.home.path(), new_kept.home.path())?;
    let logs = |files: &VmFiles| {
        [files.console_log_path(), files.qemu_log_path(), files.launcher_log_path(), files.network_log_path()]
    };
    for (log, renamed) in logs(&old).iter().zip(logs(&new)) {
        move_file(log, &renamed)?;
    }
    files::remove_locked(&old.0, old_lock).with_context(|| format!("can't remove {}", old.0.display()))?;
    Ok(())
}

/// A VM need not have each of the files.
fn move_file(from: &Path, to: &Path) -> Result<()> {
    match files::rename(from, to) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let what = format!("can't rename {} to {}", from.display(), to.display());
            Err(anyhow::Error::new(e).context(what).into())
        }
        _ => Ok(()),
    }
}

pub(super) fn running(name: &VmName) -> Error {
    Error::bad_input(format!("{name} is running")).hint(format!("stop it first: virtualghost stop {name}"))
}

/// Whether anything of a VM with this name is there, besides its lock.
pub(super) fn exists(dirs: &Dirs, name: &VmName) -> bool {
    Kept::of_vm(dirs, name).is_there()
        || !snapshots::list(dirs, name).is_empty()
        || VmFiles::new(&dirs.vms_path(), name).console_log_path().exists()
}

pub(super) fn taken(name: &VmName) -> Error {
    Error::bad_input(format!("there is a VM named {name} already"))
        .hint(format!("use another name, or remove that one: virtualghost rm {name}"))
}
