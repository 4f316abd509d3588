//! Leases: which VM uses which version. A lease is an empty file, `leases/DIGEST.NAME.PID.N`, that its owner
//! keeps locked. The kernel lets go of the lock however the owner ends, so the lock says whether the lease is
//! live, and the file's name says whose it is (not its text: Windows lets nobody read a locked file).

use super::cache::{Cache, LeaseLock};
use super::error::{At, Result};
use crate::units::VmName;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

/// Keeps a version in the cache for as long as this value lives.
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
        // If it stays, it is stale, and goes with the next removal of versions.
        let _ = fs::remove_file(&self.path);
    }
}

/// The VMs that hold a live lease, each with the digest of its version. Writes nothing.
pub(super) fn live(cache: &Cache) -> Result<Vec<(String, User)>> {
    Ok(all(cache)?.into_iter().filter(|found| !found.stale).filter_map(|found| found.user).collect())
}

/// Removes the leases whose owner has ended. Under the lock: elsewhere a lease might just be being taken.
pub(super) fn remove_stale(cache: &Cache, _held: &LeaseLock) -> Result<()> {
    for found in all(cache)?.iter().filter(|found| found.stale) {
        let _ = fs::remove_file(&found.path);
    }
    Ok(())
}

struct Found {
    path: PathBuf,
    stale: bool,
    /// Digest and VM, as the file's name says.
    user: Option<(String, User)>,
}

fn all(cache: &Cache) -> Result<Vec<Found>> {
    let folder = cache.leases_path();
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("read", &folder)?,
    };
    let mut leases = Vec::new();
    for entry in entries {
        let path = entry.at("read", &folder)?.path();
        // One that can't be opened any more was given back meanwhile. Shared, so as not to disturb another look.
        let Ok(file) = File::open(&path) else { continue };
        let stale = file.try_lock_shared().is_ok();
        let user = path.file_name().and_then(|name| parse(name.to_str()?));
        leases.push(Found { path, stale, user });
    }
    Ok(leases)
}

fn parse(name: &str) -> Option<(String, User)> {
    let mut parts = name.split('.');
    let (digest, name, pid) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    Some((digest.to_owned(), User { name: name.to_owned(), pid }))
}
