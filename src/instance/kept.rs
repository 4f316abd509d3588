//! What a VM keeps, the disk of its home and its system, and copies of the two: a clone is one of another VM, a snapshot one
//! of the VM itself.

use super::{HomeFile, System, disk_copy};
use crate::error::{Error, Kind, Result};
use crate::model::units::{SnapshotTag, VmName};
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The two disks, each of which may be missing.
pub struct Kept {
    pub home: HomeFile,
    pub system: System,
}

impl Kept {
    pub fn of_vm(dirs: &Dirs, name: &VmName) -> Self {
        Self { home: HomeFile::at(dirs.home_path(name)), system: System::at(dirs.system_path(name)) }
    }

    pub fn of_snapshot(dirs: &Dirs, name: &VmName, tag: &SnapshotTag) -> Self {
        let folder = dirs.snapshots_path(name).join(tag.as_str());
        Self { home: HomeFile::at(folder.join("home.img")), system: System::at(folder.join("system")) }
    }

    pub fn is_there(&self) -> bool {
        self.home.bytes_on_disk().is_some() || self.system.exists()
    }

    pub fn bytes_on_disk(&self) -> u64 {
        self.home.bytes_on_disk().unwrap_or_default() + self.system.bytes_on_disk().unwrap_or_default()
    }

    /// Makes `to` the same as this: what it has is replaced once all copies are complete. If this process is killed before,
    /// `to` is unchanged; if it is killed while the copies get their names, `to` has no system rather than a wrong one. The
    /// caller must have reserved the names of both VMs.
    ///
    /// # Errors
    /// There is nothing to copy, no space for it, or a file can't be written; then `to` is unchanged.
    pub fn copy_to(&self, to: &Self) -> Result<()> {
        let copies = self.copies(to)?;
        if let Err(e) = copies.iter().try_for_each(Copy::make) {
            copies.iter().for_each(Copy::discard);
            return Err(e);
        }
        // Its disk last, since a system without its disk is none.
        files::remove_if_there(&to.system.disk_path())
            .with_context(|| format!("can't replace {}", to.system.disk_path().display()))?;
        copies.iter().try_for_each(Copy::publish)?;
        if !self.system.exists() {
            to.system.remove()?;
        }
        if self.home.bytes_on_disk().is_none() {
            to.home.remove()?;
        }
        Ok(())
    }

    /// In the order in which they get their names.
    fn copies(&self, to: &Self) -> Result<Vec<Copy>> {
        let mut copies = Vec::new();
        if self.system.exists() {
            let (from, to) = (&self.system, &to.system);
            files::create_private(to.path())?;
            copies.push(Copy::of(from.image_path(), to.image_path(), disk_copy::link_or_copy));
            if from.made_from_path().exists() {
                copies.push(Copy::of(from.made_from_path(), to.made_from_path(), disk_copy::copy));
            }
            copies.push(Copy::of(from.disk_path(), to.disk_path(), disk_copy::copy));
        }
        if self.home.bytes_on_disk().is_some() {
            files::create_private(to.home.path().parent().expect("it is in a folder"))?;
            copies.push(Copy::of(self.home.path().to_owned(), to.home.path().to_owned(), disk_copy::copy));
        }
        if copies.is_empty() {
            return Err(Error::bad_input("there is nothing to copy: neither a home nor a system"));
        }
        Ok(copies)
    }

    /// # Errors
    /// A file can't be removed.
    pub fn remove(&self) -> Result<()> {
        self.system.remove()?;
        self.home.remove()
    }
}

/// A copy of one file, which gets its name once it is complete. What one that was killed has left is overwritten by the next.
struct Copy {
    from: PathBuf,
    to: PathBuf,
    unfinished: PathBuf,
    make: fn(&Path, &Path) -> io::Result<()>,
}

impl Copy {
    fn of(from: PathBuf, to: PathBuf, make: fn(&Path, &Path) -> io::Result<()>) -> Self {
        let unfinished = to.with_extension("new");
        Self { from, to, unfinished, make }
    }

    fn make(&self) -> Result<()> {
        let cannot = || format!("can't copy {} to {}", self.from.display(), self.to.display());
        files::remove_if_there(&self.unfinished).with_context(cannot)?;
        match (self.make)(&self.from, &self.unfinished) {
            Err(e) if e.kind() == ErrorKind::StorageFull => {
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
