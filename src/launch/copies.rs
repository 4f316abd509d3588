//! The copies of folders that a VM works on, at its start.

use super::Reporter;
use crate::error::Result;
use crate::model::{ShareAccess, SharedFolder, VmSpec};
use crate::share::copy::{self, WorkingCopy};
use crate::sys::Dirs;

/// Makes those that are not there, and prints which ones go on with changes.
///
/// # Errors
/// A file can't be copied.
pub fn prepare(spec: &VmSpec, dirs: &Dirs, reporter: &mut dyn Reporter) -> Result<()> {
    for share in spec.shares.iter().filter(|share| share.access == ShareAccess::Copy) {
        let unapplied = WorkingCopy::of(dirs, &spec.name, &share.folder).prepare(&share.folder)?;
        if unapplied > 0 {
            let (changes, folder, name) = (copy::counted(unapplied), share.folder.display(), &spec.name);
            reporter.notice(&format!(
                "the copy of {folder} goes on with {changes}: virtualghost diff {name}; for a new copy: virtualghost apply {name} --discard"
            ));
        }
    }
    Ok(())
}

/// The shares, with the copies in the place of the folders of which the VM gets one.
pub fn served(spec: &VmSpec, dirs: &Dirs) -> Vec<SharedFolder> {
    let served = spec.shares.iter().map(|share| match share.access {
        ShareAccess::Copy => {
            let copy = WorkingCopy::of(dirs, &spec.name, &share.folder);
            SharedFolder { folder: copy.tree_path(), ..share.clone() }
        }
        ShareAccess::Write | ShareAccess::Read => share.clone(),
    });
    served.collect()
}
