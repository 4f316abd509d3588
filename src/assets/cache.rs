//! The cache's folders and its two locks; `mod.rs` draws how they work together.

use super::error::{AssetError, At, Result};
use super::os;
use super::payload::DIGEST_LENGTH;
use super::progress::Progress;
use crate::folders;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

pub struct Cache {
    root: PathBuf,
}

/// Held by the one process that adds or removes files, for as long as that takes.
pub struct ChangeLock(#[expect(dead_code, reason = "open is locked")] File);

/// Held for the moment in which a lease is taken, or a version without leases loses its name.
pub struct LeaseLock(#[expect(dead_code, reason = "open is locked")] File);

impl Cache {
    /// The cache in the folder `root`, which need not exist. Writes nothing.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The same with its folders made, each checked to be the user's own.
    pub fn open(root: &Path) -> Result<Self> {
        let cache = Self::at(root);
        for folder in [cache.root.clone(), cache.versions_path(), cache.leases_path()] {
            trust(&folder, &folders::make(&folder).at("make", &folder)?)?;
        }
        Ok(cache)
    }

    pub fn versions_path(&self) -> PathBuf {
        self.root.join("assets")
    }

    pub fn version_path(&self, digest: &str) -> PathBuf {
        self.versions_path().join(digest)
    }

    pub fn leases_path(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// Where a version lies while it is not one: not yet (`partial`) or no longer (`removed`). Who holds the
    /// lock may remove every such folder: nobody else is at work on one.
    pub fn leftover_path(&self, _held: &ChangeLock, digest: &str, why: &str) -> PathBuf {
        self.versions_path().join(format!(".{digest}.{}.{why}", std::process::id()))
    }

    /// Waits for another process that adds or removes files; `who` is told to those who wait for us.
    pub fn lock_changes(&self, who: &str, progress: &dyn Progress) -> Result<ChangeLock> {
        let path = self.root.join("changes.lock");
        let mut file = lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Windows lets nobody read a locked file.
                let holder = fs::read_to_string(&path).unwrap_or_default();
                progress.waiting(if holder.is_empty() { "another virtualghost" } else { &holder });
                file.lock().at("lock", &path)?;
            }
            Err(TryLockError::Error(e)) => return Err(e).at("lock", &path),
        }
        file.set_len(0).at("write", &path)?;
        file.write_all(format!("{who} (pid {})", std::process::id()).as_bytes()).at("write", &path)?;
        Ok(ChangeLock(file))
    }

    pub fn lock_leases(&self) -> Result<LeaseLock> {
        let path = self.root.join("leases.lock");
        let file = lock_file(&path)?;
        file.lock().at("lock", &path)?;
        Ok(LeaseLock(file))
    }
}

fn lock_file(path: &Path) -> Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).at("open", path)
}

/// What other users could change is not run: the folder must be a real one, and the user's own.
fn trust(folder: &Path, found: &Metadata) -> Result<()> {
    let because = if found.is_dir() {
        os::distrust(found)
    } else {
        Some("it is not a folder, but a link or a file".to_owned())
    };
    because.map_or(Ok(()), |because| Err(AssetError::Untrusted { path: folder.to_owned(), because }))
}

/// Whether a name in the versions' folder is that of a version, and so ours to remove.
pub fn is_version(name: &str) -> bool {
    name.len() == DIGEST_LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it is that of a leftover.
pub fn is_leftover(name: &str) -> bool {
    let ours = |name: &str| name.ends_with(".partial") || name.ends_with(".removed");
    name.strip_prefix('.').is_some_and(|name| name.split('.').next().is_some_and(is_version) && ours(name))
}
