//! A VM with all that another one keeps.

use super::rename::{exists, running, taken};
use super::{Kept, VmFiles, lock};
use crate::error::Result;
use crate::model::units::VmName;
use crate::sys::{Dirs, files};

/// Copies the home and the system of `from`, which exists, for the new VM `to`. Both names are reserved meanwhile.
///
/// # Errors
/// It is running, it keeps nothing, there is a VM named `to`, or there is no space for the copy.
pub fn clone(dirs: &Dirs, from: &VmName, to: &VmName) -> Result<()> {
    let vms = dirs.vms_path();
    let Some(_lock) = lock(&VmFiles::new(&vms, from))? else { return Err(running(from)) };
    let new = VmFiles::new(&vms, to);
    let Some(new_lock) = lock(&new)? else { return Err(taken(to)) };
    if exists(dirs, to) {
        return Err(taken(to));
    }
    let copied = Kept::of_vm(dirs, from).copy_to(&Kept::of_vm(dirs, to), &dirs.copies_path());
    if copied.is_err() {
        let _ = files::remove_locked(&new.0, new_lock);
    }
    copied
}
