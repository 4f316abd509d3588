//! Locks on files, held by the kernel: a lock is released when its last holder ends, for whatever reason.
//!
//! A lock on a file that was removed while the process waited protects nothing: the next process creates a new file with
//! that name. So the name is looked up again once the lock is held.

use super::os;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

/// An exclusive lock, held for as long as this or a copy of its descriptor lives.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Waits until no other process has it. Creates the file if needed.
    ///
    /// # Errors
    /// The file can't be opened or locked.
    pub fn exclusive(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            file.lock()?;
            if os::is_named(&file, path)? {
                return Ok(Self(file));
            }
        }
    }

    /// None if another process has it, exclusive or shared.
    ///
    /// # Errors
    /// The file can't be opened or locked.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) if os::is_named(&file, path)? => return Ok(Some(Self(file))),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
    }

    /// Whether a process has the exclusive lock. Creates no file, and any number of processes may check at once.
    ///
    /// # Errors
    /// The file can't be opened or locked.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// For passing the lock on to another process, and for writing the holder's name.
    pub fn file(&self) -> &File {
        &self.0
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn any_number_of_processes_may_check_at_once_whether_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!FileLock::is_held(&path).unwrap());
        assert!(!path.exists(), "the check created the file");
        drop(FileLock::exclusive(&path).unwrap());
        // Another process that checks has a shared lock for a moment.
        let other = File::open(&path).unwrap();
        other.lock_shared().unwrap();
        assert!(!FileLock::is_held(&path).unwrap());
        drop(other);
        let _held = FileLock::exclusive(&path).unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
    }

    /// On Windows an open file can't be removed.
    #[cfg(unix)]
    #[test]
    fn a_lock_on_a_removed_file_is_not_returned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::exclusive(&path).unwrap();
        let (sender, receiver) = mpsc::channel();
        let waiter = {
            let path = path.clone();
            thread::spawn(move || sender.send(FileLock::exclusive(&path).unwrap()))
        };
        // It waits for the lock on the file that is about to be removed.
        assert!(receiver.recv_timeout(Duration::from_millis(200)).is_err());
        fs::remove_file(&path).unwrap();
        let second = FileLock::try_exclusive(&path).unwrap().expect("a new file without a lock");
        drop(first);
        assert!(
            receiver.recv_timeout(Duration::from_millis(200)).is_err(),
            "two processes hold the lock of one name"
        );
        drop(second);
        receiver.recv().unwrap();
        waiter.join().unwrap().unwrap();
    }
}
