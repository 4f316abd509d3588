//! Whether a start saves a checkpoint, restores one or neither, and the identity that a VM resumes with.

use super::{Checkpoint, CheckpointFiles, CheckpointSource, HomeDisk, Resume};
use crate::error::{Error, Kind, Result};
use crate::instance::{self, Credentials, System};
use crate::model::units::RootSize;
use crate::model::{Source, VmSpec};
use crate::protocol::GuestIdentity;
use crate::qemu::{self, Paths, RootDisk};
use crate::sys::Dirs;
use anyhow::Context;
use camino::Utf8PathBuf;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

pub enum StartMode {
    /// Boot, with this file as the disk's overlay.
    Boot {
        disk: PathBuf,
    },
    /// Boot, and save the checkpoint on the way. Its files are beside the launch's overlay until they are complete.
    Save {
        checkpoint: Checkpoint,
        files: CheckpointFiles,
        publishing: Option<JoinHandle<Result<()>>>,
    },
    Restore {
        checkpoint: Checkpoint,
        files: CheckpointFiles,
    },
    /// Boot the system that the VM keeps.
    Kept {
        system: System,
        made_from: Source,
    },
}

impl StartMode {
    /// `checkpoint`: the one of the VM, existing or not; None if the VM boots.
    pub fn new(checkpoint: Option<Checkpoint>, dirs: &Dirs) -> Self {
        let Some(checkpoint) = checkpoint else {
            return Self::Boot { disk: dirs.overlay_path().join("root") };
        };
        match checkpoint.find() {
            Some(files) => Self::Restore { checkpoint, files },
            None => {
                let files = CheckpointFiles::in_folder(&dirs.overlay_path().join("checkpoint"));
                Self::Save { checkpoint, files, publishing: None }
            }
        }
    }

    /// Creates the overlay over the image at `rootfs`, and with it the folder that QEMU saves a checkpoint to.
    ///
    /// # Errors
    /// They can't be created.
    pub fn prepare(&self, rootfs: &Path, size: RootSize) -> Result<()> {
        match self {
            Self::Boot { disk } => instance::create_overlay(disk, rootfs, rootfs, size),
            Self::Save { files, .. } => files.begin(rootfs, size),
            Self::Restore { .. } => Ok(()),
            Self::Kept { system, made_from } => system.prepare(rootfs, made_from, size),
        }
    }

    pub fn root_disk(&self) -> RootDisk {
        match self {
            Self::Boot { disk } => RootDisk::Enlarged(disk.clone()),
            Self::Save { files, .. } => RootDisk::ToSave(files.disk.clone()),
            Self::Restore { files, .. } => RootDisk::Saved(files.disk.clone()),
            Self::Kept { system, .. } => {
                RootDisk::Kept { disk: system.disk_path(), image: system.image_path() }
            }
        }
    }

    /// # Errors
    /// A path is not UTF-8. Such folders have no checkpoints ([`Dirs::unfit_for_checkpoints`]).
    pub fn source(&self) -> Result<Option<CheckpointSource>> {
        Ok(match self {
            Self::Boot { .. } | Self::Kept { .. } => None,
            Self::Save { files, .. } => Some(CheckpointSource::Boot {
                memory: utf8(files.memory.clone())?,
                overlay: utf8(files.folder.with_extension("overlay"))?,
            }),
            Self::Restore { files, .. } => {
                Some(CheckpointSource::Saved { memory: utf8(files.memory.clone())? })
            }
        })
    }

    /// Publishes the checkpoint that QEMU has saved, on a thread: a slow disk does not delay the VM.
    pub fn publish(&mut self) {
        let Self::Save { checkpoint, files, publishing } = self else { return };
        let (checkpoint, folder) = (checkpoint.clone(), files.folder.clone());
        *publishing = Some(std::thread::spawn(move || checkpoint.publish(&folder)));
    }

    /// Waits for the thread of [`Self::publish`].
    ///
    /// # Errors
    /// The checkpoint could not be published.
    pub fn finish(&mut self) -> Result<()> {
        let Self::Save { publishing, .. } = self else { return Ok(()) };
        let done = publishing.take().map(JoinHandle::join);
        done.map_or(Ok(()), |done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Boot { .. } | Self::Kept { .. } => None,
            Self::Save { checkpoint, .. } | Self::Restore { checkpoint, .. } => Some(checkpoint),
        }
    }
}

fn utf8(path: PathBuf) -> Result<Utf8PathBuf> {
    let not_utf8 = |path: PathBuf| Error::new(Kind::Failed, format!("{} is not UTF-8", path.display()));
    Utf8PathBuf::from_path_buf(path).map_err(not_utf8)
}

/// What the VM resumes with: its identity, with the keys of this start, its home, and the folders of the host.
///
/// # Errors
/// The home disk can't be read.
pub fn resume(spec: &VmSpec, paths: &Paths, credentials: &Credentials) -> Result<Resume> {
    let home = paths.home.as_ref().map(|path| {
        let bytes = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        Ok::<_, Error>(HomeDisk { path: utf8(path.clone())?, bytes })
    });
    let home = home.transpose()?;
    let identity = GuestIdentity {
        host_name: spec.hostname.value.to_string(),
        timezone: spec.timezone.value.to_string(),
        // Set when it is sent.
        clock: 0,
        entropy: instance::entropy(),
        safe: spec.safe,
        home: home.is_some(),
        doors: qemu::doors(spec),
        credentials: credentials.iter().cloned().collect(),
    };
    Ok(Resume { identity, home, shares: qemu::plugged_shares(spec) })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_that_qmp_has_no_form_for_is_an_error() {
        let mode = |name: &[u8]| {
            let folder = Path::new("/cache").join(OsStr::from_bytes(name));
            let checkpoint = Checkpoint::at(folder.clone());
            StartMode::Restore { checkpoint, files: CheckpointFiles::in_folder(&folder) }
        };
        assert!(mode("gespeichert-\u{e4}".as_bytes()).source().is_ok());
        assert!(mode(b"gespeichert-\xe4").source().is_err());
    }
}
