//! Files of one process that nobody else needs: a folder with a lock that the process holds. It is removed at the end; what a
//! process that was killed has left, the next one removes, since its lock is free. (The lock on a VM's name would not do:
//! several users' state folders may share one cache, each with its own names.)

use crate::error::Result;
use crate::sys::{FileLock, files};
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// The folder, removed on drop.
pub struct Scratch {
    folder: PathBuf,
    /// None only while it is released.
    lock: Option<FileLock>,
}

impl Scratch {
    /// Creates `folder` for this process, and removes those beside it whose process has ended.
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

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = files::remove_locked(&self.folder, self.lock.take());
    }
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
        let live = Scratch::make(&overlays.join("1")).unwrap();
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
        let own = Scratch::make(&overlays.join("4")).unwrap();
        assert_eq!(there(), ["1", "4"]);
        assert!(overlays.join("1/vl.Y").exists());
        drop((own, live));
        assert!(there().is_empty());
    }
}
