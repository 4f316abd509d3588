//! The folder for a VM's overlays over the image: one for each launch, in the cache. In it are an empty overlay that makes
//! the disk larger, and over that the temporary one, with all that the guest writes. QEMU unlinks the latter as soon as it
//! is open; a QEMU that is killed just before leaves it. So each folder has a lock that its launcher holds, and the next
//! launch removes the folders whose lock is free. (The lock on the VM's name would not do: several users' state folders may
//! share one cache, each with its own names.)

use crate::error::{Error, Result};
use crate::model::units::RootSize;
use crate::qemu::qcow2;
use crate::sys::{FileLock, files};
use anyhow::Context;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// The folder of this launch, removed on drop.
pub struct Overlays {
    folder: PathBuf,
    /// None only while it is released.
    lock: Option<FileLock>,
}

impl Overlays {
    /// Creates `folder` for this process, and removes those beside it whose launcher has ended.
    ///
    /// # Errors
    /// It can't be created.
    pub fn make(folder: &Path) -> Result<Self> {
        let all = folder.parent().expect("it is in a folder");
        files::create_private(all)?;
        // One at a time: a new folder whose lock is not held yet would look like a leftover.
        let _turn = lock(&all.with_extension("lock"))?;
        for entry in fs::read_dir(all).into_iter().flatten().flatten() {
            remove_if_left(&entry.path());
        }
        files::create_private(folder)?;
        Ok(Self { folder: folder.to_owned(), lock: Some(lock(&folder.join(LOCK))?) })
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let _ = files::remove_locked(&self.folder, self.lock.take());
    }
}

/// Creates `disk`, an empty overlay over `image`, of a disk of `size` unless the image's is larger. `name`: the image's path as
/// QEMU finds it, absolute or from the disk's folder.
///
/// # Errors
/// The image can't be read, or the overlay not be written.
pub fn create_overlay(disk: &Path, image: &Path, name: &Path, size: RootSize) -> Result<()> {
    let cannot_read = || format!("can't read {}", image.display());
    let (mut file, mut head) = (File::open(image).with_context(cannot_read)?, Vec::new());
    let length = file.metadata().with_context(cannot_read)?.len();
    file.by_ref().take(32).read_to_end(&mut head).with_context(cannot_read)?;
    let (format, own_size) = qcow2::format_and_size(&head, length);
    let header = qcow2::header_over(name, format, size.bytes().max(own_size)).ok_or_else(|| {
        Error::bad_input(format!("the path {} is longer than QEMU supports", image.display()))
            .hint("set XDG_CACHE_HOME, or --rootfs, to a shorter path")
    })?;
    Ok(fs::write(disk, header).with_context(|| format!("can't create {}", disk.display()))?)
}

fn lock(path: &Path) -> Result<FileLock> {
    Ok(FileLock::exclusive(path).with_context(|| format!("can't lock {}", path.display()))?)
}

fn remove_if_left(path: &Path) {
    if !FileLock::is_held(&path.join(LOCK)).unwrap_or_default() {
        // A file is from a version that kept all overlays in one folder.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_start_removes_the_overlay_of_a_killed_qemu_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let overlays = folder.path().join("overlays");
        let live = Overlays::make(&overlays.join("1")).unwrap();
        for left in ["2", "3"] {
            fs::create_dir_all(overlays.join(left)).unwrap();
            fs::write(overlays.join(left).join("vl.X"), "").unwrap();
        }
        fs::write(overlays.join("2").join(LOCK), "").unwrap();
        fs::write(overlays.join("1/vl.Y"), "").unwrap();
        fs::write(overlays.join("vl.X"), "").unwrap();
        let there = || {
            let mut names: Vec<_> =
                fs::read_dir(&overlays).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let own = Overlays::make(&overlays.join("4")).unwrap();
        assert_eq!(there(), ["1", "4"]);
        assert!(overlays.join("1/vl.Y").exists());
        drop((own, live));
        assert!(there().is_empty());
    }
}
