//! A VM gets another name: its home and its logs.

use super::{HomeFile, VmFiles, lock};
use crate::error::{Error, Result};
use crate::model::units::VmName;
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::io;
use std::path::Path;

/// Renames the VM `from`, which exists, to `to`. Both names are reserved meanwhile. Whenever this process is killed, the home is
/// there, whole, under one of the names.
///
/// # Errors
/// It is running, there is a VM named `to`, or a file can't be renamed.
pub fn rename(dirs: &Dirs, from: &VmName, to: &VmName) -> Result<()> {
    let vms = dirs.vms_path();
    let (old, new) = (VmFiles::new(&vms, from), VmFiles::new(&vms, to));
    let Some(old_lock) = lock(&old)? else {
        return Err(Error::bad_input(format!("{from} is running"))
            .hint(format!("stop it first: virtualghost stop {from}")));
    };
    let Some(_new_lock) = lock(&new)? else { return Err(taken(to)) };
    let homes = [from, to].map(|name| dirs.home_path(name));
    if HomeFile::at(homes[1].clone()).bytes_on_disk().is_some() || new.console_log_path().exists() {
        return Err(taken(to));
    }
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

fn taken(name: &VmName) -> Error {
    Error::bad_input(format!("there is a VM named {name} already"))
        .hint(format!("use another name, or remove that one: virtualghost rm {name}"))
}
