//! Leases: which VM uses which version. A lease is an empty file, `leases/DIGEST.NAME.PID.N`, that its owner keeps locked.
//! The kernel releases the lock when the owner ends, so the lock shows whether the lease is live, and the file's name
//! shows its owner (not its text: on Windows a locked file can't be read).

use super::cache::{Cache, LeaseLock};
use super::error::{At, Result};
use crate::model::units::VmName;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

/// Keeps a version in the cache until it is dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    _locked: File,
}

/// The VM that holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub pid: u32,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

impl Lease {
    pub(super) fn take(cache: &Cache, _held: &LeaseLock, digest: &str, user: &VmName) -> Result<Self> {
        let mut number = 0;
        loop {
            let name = format!("{digest}.{user}.{}.{number}", std::process::id());
            let path = cache.leases_path().join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    file.lock().at("lock", &path)?;
                    return Ok(Self { path, _locked: file });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(e).at("make", &path),
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // If this fails, the lease is stale and removed later.
        let _ = fs::remove_file(&self.path);
    }
}

/// The VMs that hold a live lease, each with the digest of its version. Writes nothing.
pub(super) fn live(cache: &Cache) -> Result<Vec<(String, User)>> {
    Ok(all(cache)?.into_iter().filter(|found| !found.stale).filter_map(|found| found.user).collect())
}

/// Removes the leases whose owner has ended. Needs the lock: another process may be creating a lease.
pub(super) fn remove_stale(cache: &Cache, _held: &LeaseLock) -> Result<()> {
    for found in all(cache)?.iter().filter(|found| found.stale) {
        let _ = fs::remove_file(&found.path);
    }
    Ok(())
}

struct LeaseFile {
    path: PathBuf,
    stale: bool,
    /// Digest and VM from the file's name.
    user: Option<(String, User)>,
}

fn all(cache: &Cache) -> Result<Vec<LeaseFile>> {
    let folder = cache.leases_path();
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("read", &folder)?,
    };
    let mut leases = Vec::new();
    for entry in entries {
        let path = entry.at("read", &folder)?.path();
        // A lease that can't be opened was released meanwhile. The lock is shared, to allow other checks.
        let Ok(file) = File::open(&path) else { continue };
        let stale = file.try_lock_shared().is_ok();
        let user = path.file_name().and_then(|name| parse(name.to_str()?));
        leases.push(LeaseFile { path, stale, user });
    }
    Ok(leases)
}

fn parse(name: &str) -> Option<(String, User)> {
    let mut parts = name.split('.');
    let (digest, name, pid) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    Some((digest.to_owned(), User { name: name.to_owned(), pid }))
}
