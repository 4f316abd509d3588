//! The payload in this executable, and the cache that it is unpacked to: extraction, locks, integrity,
//! removal. Must not know QEMU's command line.
//!
//! ```text
//! CACHE/assets/DIGEST/{kernel,rootfs,qemu}/…   a version, which is complete if it has this name
//! CACHE/assets/DIGEST/stamp                    the metadata of its files when they were written
//! CACHE/assets/DIGEST/checkpoints/…            its checkpoints (src/checkpoint)
//! CACHE/assets/.DIGEST.PID.{partial,removed}   a leftover: an incomplete version, or one being removed
//! CACHE/leases/DIGEST.NAME.PID.N               locked by a VM that uses the version
//! CACHE/changes.lock                           held by the one process that adds or removes files
//! CACHE/leases.lock                            held while a lease is created or a version is renamed
//! ```
//!
//! All locks are held by the kernel: they are released when their process ends, and a leftover file is never a lock.
//!
//! A start, [`install`]:
//! 1. With `leases.lock`: remove the leases of processes that were killed, create one, then compare the stamp. If it is
//!    equal, that is all (a warm start). Else release the lease.
//! 2. With `changes.lock`, maybe after waiting for it: step 1 again, since the previous holder may have done the work.
//!    Rename a damaged version, remove all leftovers (with this lock held no other process uses one), extract to a
//!    partial folder, rename it, step 1 again, remove the versions without a lease.
//!
//! A removal holds `changes.lock`. With `leases.lock` as well, it checks the leases and renames the versions that have
//! none; then it releases that lock and removes files. So if a start gets `leases.lock` first, the removal finds its lease;
//! if it gets the lock second, it finds no version, and extracts. Neither uses a version that is being removed, and no start
//! waits longer than a few renames for a removal of other versions.
//!
//! A damaged version is renamed even if a VM uses it: files that the VM has open remain readable after they are unlinked,
//! and files that it opens later are the new ones. (Windows can't rename a folder with open files; the error has the path.)

pub mod artifacts;
mod cache;
mod disk_image;
mod disk_kind;
mod embedded;
mod error;
mod extract;
pub mod gc;
mod integrity;
pub mod kernel;
mod lease;
mod manifest;
#[cfg(test)]
mod pack;
mod parallel;
pub mod progress;
#[cfg(test)]
mod tests;
mod unfit;
pub mod validate;

/// What the fuzz targets need in addition.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::{Payload, error::Result};
    use std::path::PathBuf;

    /// A payload of these bytes, with one blob for all components.
    pub fn payload(manifest: &[u8], blob: &[u8]) -> Result<Payload> {
        Payload::new(manifest, |_| Some(blob.to_owned().into()))
    }

    /// The paths of its files, relative to the version's folder.
    pub fn paths(payload: &Payload) -> Vec<PathBuf> {
        payload.members().into_iter().map(|member| member.path).collect()
    }
}

pub use artifacts::Artifacts;
pub use embedded::{Blobs, Payload};
pub use error::PayloadError;
pub use lease::{Lease, User};
pub use manifest::{Kernel, Qemu, Rootfs};

pub use progress::Progress;

use crate::failpoints::{self, FailPoint};
use crate::model::arch;
use crate::model::units::VmName;
#[cfg(test)]
use crate::sys::sparse;
use cache::{Cache, ChangeLock};
use error::Result;
use manifest::{ROOTFS_FILE, kernel_file};
use std::path::{Path, PathBuf};

/// The paths of a payload's artifacts in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadPaths {
    pub kernel: PathBuf,
    pub rootfs: PathBuf,
    pub qemu: QemuBundle,
}

/// A relocatable QEMU: `QEMU_MODULE_DIR=modules program -L data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuBundle {
    pub program: PathBuf,
    pub modules: PathBuf,
    pub data: PathBuf,
}

/// A payload in the cache. Its files stay while the lease is held: keep it until the VM has ended.
#[derive(Debug)]
pub struct Installed {
    pub paths: PayloadPaths,
    pub lease: Lease,
}

impl Payload {
    /// The paths of its artifacts in the cache in the folder `cache`, also before they are installed.
    pub fn paths(&self, cache: &Path) -> PayloadPaths {
        let version = Cache::at(cache).version_path(self.digest());
        let (kernel, rootfs, qemu) = (version.join("kernel"), version.join("rootfs"), version.join("qemu"));
        let about = self.qemu();
        PayloadPaths {
            kernel: kernel.join(kernel_file(self.arch())),
            rootfs: rootfs.join(ROOTFS_FILE),
            qemu: QemuBundle {
                program: qemu.join(&about.program),
                modules: qemu.join(&about.modules),
                data: qemu.join(&about.data),
            },
        }
    }

    /// The folder of its checkpoints (see [`crate::checkpoint`]), which are removed with it.
    pub fn checkpoints_path(&self, cache: &Path) -> PathBuf {
        Cache::at(cache).version_path(self.digest()).join("checkpoints")
    }

    /// Whether nothing needs to be unpacked. Writes nothing, locks nothing: for `--dry-run`.
    pub fn is_installed(&self, cache: &Path) -> bool {
        integrity::holds(&Cache::at(cache).version_path(self.digest()), &self.members())
    }

    /// Whether there is a version of it, even a damaged one.
    pub fn is_unpacked(&self, cache: &Path) -> bool {
        Cache::at(cache).version_path(self.digest()).exists()
    }

    /// Reads every installed byte and returns the damaged files; see [`Self::is_installed`] for the check at every start.
    pub fn damaged_files(&self, cache: &Path) -> Result<Vec<PathBuf>> {
        integrity::damaged_files(self, &Cache::at(cache).version_path(self.digest()))
    }
}

/// Ensures that `payload` is complete and undamaged in the folder `cache`, for the VM named `user`.
pub fn install(payload: &Payload, cache: &Path, user: &VmName, progress: &dyn Progress) -> Result<Installed> {
    let paths = payload.paths(cache);
    let cache = Cache::open(cache)?;
    if let Some(lease) = lease_if_intact(payload, &cache, user)? {
        return Ok(Installed { paths, lease });
    }
    let lock = cache.lock_changes(user.as_str(), progress)?;
    failpoints::hit(FailPoint::CacheLocked);
    let lease = match lease_if_intact(payload, &cache, user)? {
        Some(lease) => lease,
        None => install_anew(payload, &cache, &lock, user, progress)?,
    };
    progress.done();
    Ok(Installed { paths, lease })
}

fn install_anew(
    payload: &Payload,
    cache: &Cache,
    lock: &ChangeLock,
    user: &VmName,
    progress: &dyn Progress,
) -> Result<Lease> {
    let version = cache.version_path(payload.digest());
    if version.symlink_metadata().is_ok() {
        tracing::warn!("{} was changed or damaged: unpacking it again", version.display());
        gc::set_aside(cache, lock, &version)?;
    }
    gc::remove_leftovers(cache, lock)?;
    extract::extract(payload, cache, lock, progress)?;
    let lease = lease_if_intact(payload, cache, user)?.ok_or(PayloadError::Disturbed { path: version })?;
    if let Err(error) = gc::remove_unused(cache, lock) {
        tracing::warn!("can't remove old versions from the cache: {error}");
    }
    Ok(lease)
}

/// The lease is created before the check: a version that passes the check can't be removed any more.
fn lease_if_intact(payload: &Payload, cache: &Cache, user: &VmName) -> Result<Option<Lease>> {
    let leases = cache.lock_leases()?;
    failpoints::hit(FailPoint::BeforeLease);
    lease::remove_stale(cache, &leases)?;
    let lease = Lease::take(cache, &leases, payload.digest(), user)?;
    failpoints::hit(FailPoint::AfterLease);
    Ok(integrity::holds(&cache.version_path(payload.digest()), &payload.members()).then_some(lease))
}

/// An amount in MiB, rounded up, for messages.
pub fn format_mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(all(test, unix))]
mod texts;
