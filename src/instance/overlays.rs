//! Where QEMU puts a VM's throw-away overlay: a folder for each launch, in the cache. QEMU takes the file's name away as
//! soon as it is open; a QEMU that was killed just before leaves the file. So each folder has a lock that its launcher
//! holds, and the next launch removes the folders whose lock is free. (Not the lock on the VM's name: several homes may
//! share one cache, and each has names of its own.)

use crate::error::Result;
use crate::folders;
use anyhow::Context;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// There for as long as this lives.
pub struct Overlays {
    folder: PathBuf,
    /// None only while it is given back.
    lock: Option<File>,
}

impl Overlays {
    /// Makes `folder`, of this process alone, and removes those beside it whose launcher is gone.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make(folder: &Path) -> Result<Self> {
        let all = folder.parent().expect("it is in a folder");
        folders::create_private(all)?;
        // One at a time: a folder whose lock is not made yet is not taken for one that is left.
        let _turn = lock(&all.with_extension("lock"))?;
        for entry in fs::read_dir(all).into_iter().flatten().flatten() {
            remove_if_left(&entry.path());
        }
        folders::create_private(folder)?;
        Ok(Self { folder: folder.to_owned(), lock: Some(lock(&folder.join(LOCK))?) })
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let _ = folders::remove_locked(&self.folder, self.lock.take());
    }
}

fn lock(path: &Path) -> Result<File> {
    let lock = || {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock().map(|()| file)
    };
    Ok(lock().with_context(|| format!("can't lock {}", path.display()))?)
}

fn remove_if_left(path: &Path) {
    let held = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock_shared().is_err());
    if !held {
        // A file is of a version that kept them all in one folder.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_qemu_left_goes_at_the_next_start_and_a_live_ones_stays() {
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
