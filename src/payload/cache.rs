//! The cache's folders and its two locks; `mod.rs` describes how they work together.

use super::embedded::DIGEST_LENGTH;
use super::error::{At, PayloadError, Result};
use super::progress::Progress;
use crate::sys::{FileLock, files};
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What backup tools look for (https://bford.info/cachedir/): they skip the folder.
const TAG: (&str, &str) = (
    "CACHEDIR.TAG",
    "Signature: 8a477f597d28d172789f06886806bc55\n\
     # This file marks the cache of virtualghost. See https://bford.info/cachedir/\n",
);

pub struct Cache {
    root: PathBuf,
}

/// Held by the one process that adds or removes files, until it is done.
pub struct ChangeLock(#[expect(dead_code, reason = "held is locked")] FileLock);

/// Held while a lease is created, or a version without leases is renamed.
pub struct LeaseLock(#[expect(dead_code, reason = "held is locked")] FileLock);

impl Cache {
    /// The cache in the folder `root`, which may not exist. Writes nothing.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The same, with its folders created and their owner checked.
    pub fn open(root: &Path) -> Result<Self> {
        let cache = Self::at(root);
        for folder in [cache.root.clone(), cache.versions_path(), cache.leases_path()] {
            trust(&folder, &files::make_folder(&folder).at("make", &folder)?)?;
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

    /// The folder of a version that is incomplete (`partial`) or being removed (`removed`). The holder of the lock may remove
    /// every such folder: no other process is using one.
    pub fn leftover_path(&self, _held: &ChangeLock, digest: &str, why: &str) -> PathBuf {
        self.versions_path().join(format!(".{digest}.{}.{why}", std::process::id()))
    }

    /// Waits for another process that adds or removes files. `who` is shown to processes that wait for this one.
    pub fn lock_changes(&self, who: &str, progress: &dyn Progress) -> Result<ChangeLock> {
        let path = self.root.join("changes.lock");
        let lock = match FileLock::try_exclusive(&path).at("lock", &path)? {
            Some(lock) => lock,
            None => {
                // On Windows a locked file can't be read.
                let holder = fs::read_to_string(&path).unwrap_or_default();
                progress.waiting(if holder.is_empty() { "another virtualghost" } else { &holder });
                FileLock::exclusive(&path).at("lock", &path)?
            }
        };
        let mut file = lock.file();
        file.set_len(0).at("write", &path)?;
        file.write_all(format!("{who} (pid {})", std::process::id()).as_bytes()).at("write", &path)?;
        // Here and not where the folder is made, so that starts that change nothing do not look for it.
        self.write_tag()?;
        Ok(ChangeLock(lock))
    }

    fn write_tag(&self) -> Result<()> {
        let path = self.root.join(TAG.0);
        match File::create_new(&path).and_then(|mut file| file.write_all(TAG.1.as_bytes())) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            written => written.at("write", &path),
        }
    }

    pub fn lock_leases(&self) -> Result<LeaseLock> {
        let path = self.root.join("leases.lock");
        Ok(LeaseLock(FileLock::exclusive(&path).at("lock", &path)?))
    }
}

/// Files that other users can change are not used: the folder must be no link, and belong to the user.
fn trust(folder: &Path, found: &Metadata) -> Result<()> {
    let because = if found.is_dir() {
        files::check_ownership(found)
    } else {
        Some("it is a link or a file".to_owned())
    };
    because.map_or(Ok(()), |because| Err(PayloadError::Untrusted { path: folder.to_owned(), because }))
}

/// Whether a name in the versions' folder is that of a version, which may be removed.
pub fn is_version(name: &str) -> bool {
    name.len() == DIGEST_LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it is that of a leftover.
pub fn is_leftover(name: &str) -> bool {
    let ours = |name: &str| name.ends_with(".partial") || name.ends_with(".removed");
    name.strip_prefix('.').is_some_and(|name| name.split('.').next().is_some_and(is_version) && ours(name))
}
