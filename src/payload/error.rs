//! The errors of the payload and its cache, each with what to type next.

use super::format_mib;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("this executable carries no kernel, no root filesystem and no QEMU")]
    NothingEmbedded,
    #[error("this executable is damaged: {what}")]
    DamagedPayload { what: String },
    #[error("not enough disk space in {}: {} needed, {} free", path.display(), format_mib(*needed), format_mib(*free))]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    #[error("the disk of {} is full: {} needed", path.display(), format_mib(*needed))]
    DiskFull { path: PathBuf, needed: u64 },
    #[error("{} can't be used as the cache: {because}", path.display())]
    Untrusted { path: PathBuf, because: String },
    #[error("{} changed while it was being installed", path.display())]
    Disturbed { path: PathBuf },
    #[error("can't {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

pub type Result<T> = std::result::Result<T, PayloadError>;

impl PayloadError {
    const WRITE_PROTECTED: [io::ErrorKind; 2] =
        [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied];

    /// What to type or change next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NothingEmbedded => {
                "run `make run`, or `make assets package-qemu` before `cargo build`; or set --kernel, --rootfs and \
                 the setting `qemu`"
            }
            Self::DamagedPayload { .. } => "copy it here again, or build it again",
            Self::NoSpace { .. } | Self::DiskFull { .. } => {
                "free some space there, run `virtualghost clean`, or set XDG_CACHE_HOME to another folder"
            }
            Self::Untrusted { path, .. } => {
                let path = path.display();
                return Some(format!(
                    "remove {path} or change its owner and mode, or set XDG_CACHE_HOME to another folder"
                ));
            }
            Self::Disturbed { .. } => "find out which program changes files there, then start again",
            Self::Io { source, .. } if Self::WRITE_PROTECTED.contains(&source.kind()) => {
                "set XDG_CACHE_HOME to a folder that you can write to"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether the cause is a full disk.
    pub(super) fn is_full_disk(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }
}

impl From<PayloadError> for crate::error::Error {
    fn from(error: PayloadError) -> Self {
        let hint = error.hint();
        Self { hint, ..anyhow::Error::new(error).into() }
    }
}

/// Adds the action and the path to an error.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| PayloadError::Io { action, path: path.to_owned(), source })
    }
}
