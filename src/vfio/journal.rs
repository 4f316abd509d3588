//! The bound devices and their former drivers, on disk before the first write: one JSON file for each GPU in
//! /var/lib/virtualghost/gpu, which only root can write, as only root can bind. (With a journal that the user can write,
//! the user could make root bind anything.)

use crate::host::pci::sysfs::Root;
use crate::model::BoundDevice;
use crate::model::units::PciAddress;
use crate::sys::{FileLock, ProcessId};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

const FOLDER: &str = "var/lib/virtualghost/gpu";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    pub gpu: PciAddress,
    /// The kernel's id of this boot: after another boot nothing is bound.
    pub boot_id: String,
    /// The process that returns it.
    pub holder: ProcessId,
    /// Bound by hand: stays bound until it is released by hand.
    pub kept: bool,
    /// In the order in which they were bound.
    pub devices: Vec<BoundDevice>,
}

/// Whether a GPU still has to be returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The machine has booted since: every device has its own driver again.
    Past,
    /// Its holder is alive.
    Held,
    Kept,
    /// Its holder died before it returned the GPU.
    Orphaned,
}

impl JournalEntry {
    pub fn standing(&self, boot_id: &str) -> Standing {
        if self.boot_id != boot_id {
            Standing::Past
        } else if self.holder.is_alive() && !self.kept {
            Standing::Held
        } else if self.kept {
            Standing::Kept
        } else {
            Standing::Orphaned
        }
    }
}

#[derive(Debug, Clone)]
pub struct Journal(Root);

impl Journal {
    pub fn new(root: &Root) -> Self {
        Self(root.clone())
    }

    fn path(&self, gpu: PciAddress) -> PathBuf {
        self.0.path(FOLDER).join(format!("{gpu}.json"))
    }

    pub fn boot_id(&self) -> String {
        self.0.text("proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    /// Every entry that can be read. A file that a crash cut short is ignored: nothing was written to sysfs yet.
    pub fn entries(&self) -> Vec<JournalEntry> {
        let files = fs::read_dir(self.0.path(FOLDER)).into_iter().flatten().flatten();
        let mut entries: Vec<JournalEntry> = files
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .collect();
        entries.sort_by_key(|entry| entry.gpu);
        entries
    }

    /// Returns when it is on the disk.
    pub fn save(&self, entry: &JournalEntry) -> Result<()> {
        let (path, new) = (self.path(entry.gpu), self.path(entry.gpu).with_extension("new"));
        let cannot = || format!("can't write {}", path.display());
        self.make_folder().with_context(cannot)?;
        let mut file = File::create(&new).with_context(cannot)?;
        // Every user may read which GPUs have to be returned.
        file.set_permissions(Permissions::from_mode(0o644)).with_context(cannot)?;
        file.write_all(&serde_json::to_vec_pretty(entry)?).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        fs::rename(&new, &path).with_context(cannot)?;
        self.sync_folder().with_context(cannot)
    }

    pub fn remove(&self, gpu: PciAddress) -> Result<()> {
        let path = self.path(gpu);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("can't remove {}", path.display()));
            }
            _ => {}
        }
        self.sync_folder().with_context(|| format!("can't remove {}", path.display()))
    }

    /// Held while drivers change: one at a time.
    pub fn lock(&self) -> Result<FileLock> {
        let path = self.0.path(FOLDER).join("lock");
        let locked = self.make_folder().and_then(|()| FileLock::exclusive(&path));
        locked.with_context(|| format!("can't lock {}", path.display()))
    }

    fn make_folder(&self) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(self.0.path(FOLDER))
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        File::open(self.0.path(FOLDER))?.sync_all()
    }
}
