//! Private files and folders, and files that are replaced atomically.

use super::os;
use crate::error::{Error, Kind, Result};
use crate::failpoints::{self, FailPoint};
use anyhow::Context;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;

pub use os::{
    Folder, bytes_on_disk, check_ownership, create_folder, create_new_private, is_stdin_for_a_shell,
    make_sparse, qemu_safe_path, rename, restrict_umask, seal, sync_folder,
};

/// Creates the folder at `path` and its parents (mode 0700) if nothing is there. Returns what is there, which may be no
/// folder; links are not followed.
pub fn make_folder(path: &Path) -> io::Result<Metadata> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            create_folder(path)?;
            fs::symlink_metadata(path)
        }
        found => found,
    }
}

/// Ensures that the folder exists and is private (mode 0700), and creates it and its parents if needed.
///
/// # Errors
/// There is a link, or a folder that belongs to another user, who could change what is in it.
pub fn create_private(path: &Path) -> Result<()> {
    let cannot = || format!("can't create the folder {}", path.display());
    let found = make_folder(path).with_context(cannot)?;
    let because =
        if found.is_dir() { os::foreign_owner(&found) } else { Some("it is a link or a file".to_owned()) };
    if let Some(because) = because {
        return Err(Error::new(
            Kind::Failed,
            format!("{} can't be used as a folder: {because}", path.display()),
        )
        .hint(format!("remove or rename {}", path.display())));
    }
    os::set_private(path, &found).with_context(cannot)?;
    Ok(())
}

/// Removes a folder that contains the file of `lock`, which is held until everything else is removed. Where an open file
/// can't be removed (Windows, on some file systems), the folder is removed after the lock is released.
pub fn remove_locked(folder: &Path, lock: impl Sized) -> io::Result<()> {
    let removed = fs::remove_dir_all(folder);
    drop(lock);
    match removed {
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => fs::remove_dir(folder),
        removed => removed,
    }
}

/// Replaces a file atomically: a reader finds the old text or the new one. `new` is a path on the same file system that
/// no other process writes to. A file that already has this text is not written.
pub fn replace(path: &Path, text: &[u8], new: &Path) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(new, text).with_context(|| format!("can't write {}", new.display()))?;
    failpoints::hit(FailPoint::StateWritten);
    rename(new, path).with_context(|| format!("can't write {}", path.display()))
}

/// Removes the file, which need not be there.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_atomically_and_only_if_its_text_differs() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("file"), folder.path().join("new"));
        replace(&path, b"one", &new).unwrap();
        let early = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(&path).unwrap().set_modified(early).unwrap();
        let changed = || fs::metadata(&path).unwrap().modified().unwrap();
        replace(&path, b"one", &new).unwrap();
        assert_eq!(changed(), early, "it was written again");
        replace(&path, b"two", &new).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(changed() > early && !new.exists());
    }
}
