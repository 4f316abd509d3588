//! The payload in this executable, and the cache that it is unpacked to: extraction, locks, integrity,
//! removal. Must not know QEMU's command line.
//!
//! ```text
//! CACHE/assets/DIGEST/{kernel,rootfs,qemu}/…   a version: whole, or it would not have this name
//! CACHE/assets/DIGEST/stamp                    what its files looked like when it was written
//! CACHE/assets/DIGEST/checkpoints/…            VMs that were saved with it (checkpoint.rs)
//! CACHE/assets/.DIGEST.PID.{partial,removed}   a leftover: a version that is not yet, or no longer, one
//! CACHE/leases/DIGEST.NAME.PID.N               locked by a VM that uses the version
//! CACHE/changes.lock                           held by the one process that adds or removes files
//! CACHE/leases.lock                            held for the moment of taking a lease or a name
//! ```
//!
//! All locks are the kernel's: they end with their process, however it ends, and nothing that lies about is
//! ever taken for one.
//!
//! A start, [`install`]:
//! 1. With `leases.lock`: remove the leases of those that were killed, take one, then compare the stamp. If it
//!    holds, that was all (a warm start). Else give the lease back.
//! 2. With `changes.lock`, maybe after waiting for it: step 1 again, since the holder before us may have done
//!    the work. Set a damaged version aside, remove all leftovers (with this lock held nobody is at work on
//!    one), extract to a partial folder, rename it, step 1 again, remove the versions without a lease.
//!
//! A removal holds `changes.lock`. With `leases.lock` as well, it looks for leases and renames the versions
//! that have none; then it lets go of that lock and removes files. So a start that gets `leases.lock` first
//! has its lease seen, and one that gets it second finds no version, and extracts. Neither uses a version that
//! is being removed, and no start waits longer than a few renames for a removal of other versions.
//!
//! A damaged version is set aside even if a VM uses it: what that VM has open stays, as an unlinked file, and
//! what it opens later it finds under the same name, sound. (Windows refuses to rename what is open; the error
//! names the path.)

mod cache;
pub mod clean;
mod error;
mod extract;
#[cfg_attr(unix, path = "files/unix.rs")]
#[cfg_attr(windows, path = "files/windows.rs")]
mod files;
mod lease;
mod manifest;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
pub mod own;
#[cfg(test)]
mod pack;
mod parallel;
mod payload;
pub mod progress;
mod stamp;
#[cfg(test)]
mod tests;
/// Writing that goes on meanwhile.
#[cfg_attr(target_os = "linux", path = "write_out/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "write_out/none.rs")]
mod write_out;

/// What the fuzz targets reach besides.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::{Payload, error::Result};
    use std::path::PathBuf;

    /// Of these bytes, with one blob for all components.
    pub fn payload(manifest: &[u8], blob: &[u8]) -> Result<Payload> {
        Payload::new(manifest, |_| Some(blob.to_owned().into()))
    }

    /// Where its files would lie, relative to the version's folder.
    pub fn paths(payload: &Payload) -> Vec<PathBuf> {
        payload.members().into_iter().map(|member| member.path).collect()
    }
}

pub use error::AssetError;
pub use lease::{Lease, User};
pub use manifest::{Kernel, Qemu, Rootfs};
pub use payload::{Blobs, Payload};
pub use progress::Progress;

use crate::arch;
use crate::fault::{self, Point};
use crate::units::VmName;
use cache::{Cache, ChangeLock};
use error::Result;
use manifest::{ROOTFS_FILE, kernel_file};
use std::path::{Path, PathBuf};

/// Where the parts of a payload lie, or will lie, in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
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

/// A payload in the cache. Its files stay for as long as the lease is held: keep it until the VM has ended.
#[derive(Debug)]
pub struct Installed {
    pub paths: Paths,
    pub lease: Lease,
}

impl Payload {
    /// Where its parts lie in the cache in the folder `cache`, once they are there.
    pub fn paths(&self, cache: &Path) -> Paths {
        let version = Cache::at(cache).version_path(self.digest());
        let (kernel, rootfs, qemu) = (version.join("kernel"), version.join("rootfs"), version.join("qemu"));
        let about = self.qemu();
        Paths {
            kernel: kernel.join(kernel_file(self.arch())),
            rootfs: rootfs.join(ROOTFS_FILE),
            qemu: QemuBundle {
                program: qemu.join(&about.program),
                modules: qemu.join(&about.modules),
                data: qemu.join(&about.data),
            },
        }
    }

    /// Where the VMs that were saved with its parts lie (see [`crate::checkpoint`]); they go with it.
    pub fn checkpoints_path(&self, cache: &Path) -> PathBuf {
        Cache::at(cache).version_path(self.digest()).join("checkpoints")
    }

    /// Whether a start would have nothing to unpack. Writes nothing, locks nothing: for `--dry-run`.
    pub fn is_installed(&self, cache: &Path) -> bool {
        stamp::holds(&Cache::at(cache).version_path(self.digest()), &self.members())
    }

    /// Whether there is a version of it, sound or not.
    pub fn is_unpacked(&self, cache: &Path) -> bool {
        Cache::at(cache).version_path(self.digest()).exists()
    }

    /// Reads every installed byte and returns the files that are not as packed; see [`Self::is_installed`] for
    /// the check that every start makes.
    pub fn damaged_files(&self, cache: &Path) -> Result<Vec<PathBuf>> {
        stamp::damaged_files(self, &Cache::at(cache).version_path(self.digest()))
    }
}

/// Makes sure that `payload` lies in the cache in the folder `cache`, sound, for the VM named `user`.
pub fn install(payload: &Payload, cache: &Path, user: &VmName, progress: &dyn Progress) -> Result<Installed> {
    let paths = payload.paths(cache);
    let cache = Cache::open(cache)?;
    if let Some(lease) = lease_if_sound(payload, &cache, user)? {
        return Ok(Installed { paths, lease });
    }
    let lock = cache.lock_changes(user.as_str(), progress)?;
    fault::point(Point::CacheLocked);
    let lease = match lease_if_sound(payload, &cache, user)? {
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
        clean::set_aside(cache, lock, &version)?;
    }
    clean::remove_leftovers(cache, lock)?;
    extract::extract(payload, cache, lock, progress)?;
    let lease = lease_if_sound(payload, cache, user)?.ok_or(AssetError::Disturbed { path: version })?;
    if let Err(error) = clean::remove_unused(cache, lock) {
        tracing::warn!("old versions stay in the cache: {error}");
    }
    Ok(lease)
}

/// The lease before the look: what was sound when we looked can't be removed then.
fn lease_if_sound(payload: &Payload, cache: &Cache, user: &VmName) -> Result<Option<Lease>> {
    let leases = cache.lock_leases()?;
    fault::point(Point::BeforeLease);
    lease::remove_stale(cache, &leases)?;
    let lease = Lease::take(cache, &leases, payload.digest(), user)?;
    fault::point(Point::AfterLease);
    Ok(stamp::holds(&cache.version_path(payload.digest()), &payload.members()).then_some(lease))
}

/// An amount in MiB, rounded up, as messages have it.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
