//! A VM gets another name: its home, its system and its logs.

use super::{HomeFile, System, VmFiles, lock};
use crate::error::{Error, Result};
use crate::model::units::VmName;
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::io;
use std::path::Path;

/// Renames the VM `from`, which exists, to `to`. Both names are reserved meanwhile. Whenever this process is killed, the home
/// and the system are there, each whole, under one of the names.
///
/// # Errors
/// It is running, there is a VM named `to`, or a file can't be renamed.
pub fn rename(dirs: &Dirs, from: &VmName, to: &VmName) -> Result<()> {
    let vms = dirs.vms_path();
    let (old, new) = (VmFiles::new(&vms, from), VmFiles::new(&vms, to));
    let Some(old_lock) = lock(&old)? else { return Err(running(from)) };
    let Some(_new_lock) = lock(&new)? else { return Err(taken(to)) };
    let homes = [from, to].map(|name| dirs.home_path(name));
    let systems = [from, to].map(|name| System::at(dirs.system_path(name)));
    let is_taken = HomeFile::at(homes[1].clone()).bytes_on_disk().is_some() || systems[1].exists();
    if is_taken || new.console_log_path().exists() {
        return Err(taken(to));
    }
    // A clone that was killed may have left files there.
    systems[1].remove()?;
    move_file(systems[0].path(), systems[1].path())?;
    move_file(&homes[0], &homes[1])?;
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

pub(super) fn taken(name: &VmName) -> Error {
    Error::bad_input(format!("there is a VM named {name} already"))
        .hint(format!("use another name, or remove that one: virtualghost rm {name}"))
}
