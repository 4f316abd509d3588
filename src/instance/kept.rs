//! What a VM keeps, the disk of its home and its system, and copies of the two: a clone is one of another VM, a snapshot one
//! of the VM itself.

use super::{HomeFile, Scratch, System, disk_copy};
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

    /// Makes `to` the same as this: what it has is replaced once all copies are complete, in `scratch`, a folder on the same
    /// filesystem. If this process is killed before, `to` is unchanged; if it is killed while the copies get their names, `to`
    /// has no system rather than a wrong one. The caller must have reserved the names of both VMs.
    ///
    /// # Errors
    /// There is nothing to copy, no space for it, or a copy can't be written; then `to` is unchanged. Or a complete copy can't get
    /// its name.
    pub fn copy_to(&self, to: &Self, scratch: &Path) -> Result<()> {
        let _scratch = Scratch::make(scratch)?;
        let copies = self.copies(to, scratch)?;
        copies.iter().try_for_each(Copy::make)?;
        // The disk first, and last again: a system without its disk is none.
        for replaced in [to.system.disk_path(), to.system.made_from_path()] {
            files::remove_if_there(&replaced)
                .with_context(|| format!("can't replace {}", replaced.display()))?;
        }
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
    fn copies(&self, to: &Self, scratch: &Path) -> Result<Vec<Copy>> {
        let mut copies = Vec::new();
        let mut add = |from: PathBuf, to: PathBuf, make: MakeCopy| {
            let unfinished = scratch.join(copies.len().to_string());
            copies.push(Copy { from, to, unfinished, make });
        };
        if self.system.exists() {
            let (from, to) = (&self.system, &to.system);
            add(from.image_path(), to.image_path(), disk_copy::link_or_copy);
            if from.made_from_path().exists() {
                add(from.made_from_path(), to.made_from_path(), disk_copy::copy);
            }
            add(from.disk_path(), to.disk_path(), disk_copy::copy);
        }
        if self.home.bytes_on_disk().is_some() {
            add(self.home.path().to_owned(), to.home.path().to_owned(), disk_copy::copy);
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

type MakeCopy = fn(&Path, &Path) -> io::Result<()>;

/// A copy of one file, which gets its name once it is complete.
struct Copy {
    from: PathBuf,
    to: PathBuf,
    unfinished: PathBuf,
    make: MakeCopy,
}

impl Copy {
    fn make(&self) -> Result<()> {
        let cannot = || format!("can't copy {} to {}", self.from.display(), self.to.display());
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
        files::create_private(self.to.parent().expect("it is in a folder"))?;
        let cannot = || format!("can't rename {} to {}", self.unfinished.display(), self.to.display());
        Ok(files::rename(&self.unfinished, &self.to).with_context(cannot)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;

    #[test]
    fn a_copy_has_nothing_left_of_what_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = Dirs::below(folder.path());
        let [web, db] = ["web", "db"].map(|name| Kept::of_vm(&dirs, &name.parse().unwrap()));
        let image = folder.path().join("image");
        fs::write(&image, "image").unwrap();
        let size = || "8192".parse().unwrap();
        web.system.prepare(&image, &Source::Embedded, size()).unwrap();
        db.system.prepare(&image, &Source::File(image.clone()), size()).unwrap();
        db.home.prepare("64".parse().unwrap()).unwrap();
        let left = folder.path().join("data/copies/1");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("0"), "half a copy").unwrap();

        web.copy_to(&db, &dirs.copies_path()).unwrap();
        assert_eq!(db.system.made_from(), Some(Source::Embedded));
        assert_eq!(db.home.bytes_on_disk(), None, "web has no home");
        assert_eq!(fs::read_dir(folder.path().join("data/copies")).unwrap().count(), 0);
        // What it had stays if there is nothing to copy.
        let none = Kept::of_vm(&dirs, &"none".parse().unwrap());
        assert!(none.copy_to(&db, &dirs.copies_path()).is_err());
        assert!(db.system.exists());
    }
}
