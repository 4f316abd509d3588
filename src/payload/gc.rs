//! Lists the cache, and removes what no VM uses.

use super::cache::{Cache, ChangeLock, is_leftover, is_version};
use super::error::{At, Result};
use super::lease::{self, User};
use super::progress::Progress;
use crate::sys::files::{bytes_on_disk, rename};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A version in the cache, or a leftover of one.
#[derive(Debug)]
pub struct CacheEntry {
    pub path: PathBuf,
    /// The space that it uses on the disk.
    pub bytes: u64,
    /// Left by an interrupted installation or removal.
    pub leftover: bool,
    /// The VMs that use it.
    pub users: Vec<User>,
}

/// The result of [`clean`].
#[derive(Debug, Default)]
pub struct Cleaned {
    pub removed: Vec<CacheEntry>,
    /// Versions in use, each with its users.
    pub kept: Vec<CacheEntry>,
}

/// The versions and leftovers in the folder `cache`. Writes nothing.
pub fn list(cache: &Path) -> Result<Vec<CacheEntry>> {
    entries(&Cache::at(cache))
}

/// Removes every version that no VM uses, and all leftovers. Waits for a running installation.
pub fn clean(cache: &Path, progress: &dyn Progress) -> Result<Cleaned> {
    if fs::symlink_metadata(cache).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Ok(Cleaned::default());
    }
    let cache = Cache::open(cache)?;
    let lock = cache.lock_changes("clean", progress)?;
    remove_unused(&cache, &lock)
}

/// Renames a version while no lease on it can be created, then removes its files.
pub(super) fn remove_unused(cache: &Cache, lock: &ChangeLock) -> Result<Cleaned> {
    let leases = cache.lock_leases()?;
    lease::remove_stale(cache, &leases)?;
    let (kept, removed): (Vec<_>, Vec<_>) =
        entries(cache)?.into_iter().partition(|entry| !entry.users.is_empty());
    for entry in removed.iter().filter(|entry| !entry.leftover) {
        set_aside(cache, lock, &entry.path)?;
    }
    drop(leases);
    remove_leftovers(cache, lock)?;
    Ok(Cleaned { removed, kept })
}

/// Renames a version, which makes it a leftover.
pub(super) fn set_aside(cache: &Cache, lock: &ChangeLock, version: &Path) -> Result<()> {
    let digest = version.file_name().unwrap_or_default().to_string_lossy();
    rename(version, &cache.leftover_path(lock, &digest, "removed")).at("rename", version)
}

pub(super) fn remove_leftovers(cache: &Cache, _held: &ChangeLock) -> Result<()> {
    for (path, name) in names(cache)? {
        if is_leftover(&name) {
            let folder = fs::symlink_metadata(&path).at("read", &path)?.is_dir();
            if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.at("remove", &path)?;
        }
    }
    Ok(())
}

fn entries(cache: &Cache) -> Result<Vec<CacheEntry>> {
    let live = lease::live(cache)?;
    let mut entries = Vec::new();
    for (path, name) in names(cache)? {
        let leftover = is_leftover(&name);
        if leftover || is_version(&name) {
            let users =
                live.iter().filter(|(digest, _)| *digest == name).map(|(_, user)| user.clone()).collect();
            let bytes = disk_usage(&path).at("read", &path)?;
            entries.push(CacheEntry { path, bytes, leftover, users });
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The entries of the versions' folder.
fn names(cache: &Cache) -> Result<Vec<(PathBuf, String)>> {
    let folder = cache.versions_path();
    let named = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.at("read", &folder)?;
        Ok((entry.path(), entry.file_name().to_string_lossy().into_owned()))
    };
    match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.at("read", &folder)?.map(named).collect(),
    }
}

/// The space that a tree uses on the disk. Files that are removed meanwhile are not counted.
pub fn disk_usage(path: &Path) -> io::Result<u64> {
    let found = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        found => found?,
    };
    let mut bytes = bytes_on_disk(&found);
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += disk_usage(&entry?.path())?;
        }
    }
    Ok(bytes)
}
