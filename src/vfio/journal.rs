//! What was taken from the host and how it was before, on disk before the first write: one JSON file for each GPU in
//! /var/lib/virtualghost/gpu, which only root can write, as only root can bind. (A journal of the user's own would let
//! that user tell root what to bind.)

use super::Device;
use super::sysfs::Root;
use crate::instance::process_started;
use crate::units::PciAddress;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

const FOLDER: &str = "var/lib/virtualghost/gpu";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub gpu: PciAddress,
    /// The kernel's number of this boot: another one has bound everything anew.
    pub boot_id: String,
    /// The process that gives it back.
    pub holder: Holder,
    /// Bound by hand: stays until it is given back by hand.
    pub kept: bool,
    /// In the order in which they were bound.
    pub devices: Vec<Device>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// With it, a process id that is used again is not taken for the holder.
    pub started: u64,
}

impl Holder {
    pub fn this_process() -> Self {
        let pid = std::process::id();
        Self { pid, started: process_started(pid).unwrap_or_default() }
    }

    pub fn is_alive(self) -> bool {
        process_started(self.pid) == Some(self.started)
    }
}

/// Whether somebody still has to act on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The machine has booted since: every device is with its own driver again.
    Past,
    /// Its holder lives.
    Held,
    Kept,
    /// Its holder died before it gave the GPU back.
    Orphaned,
}

impl Entry {
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

    /// Every entry that can be read; a file that a crash cut short is none, as nothing was written to sysfs yet.
    pub fn entries(&self) -> Vec<Entry> {
        let files = fs::read_dir(self.0.path(FOLDER)).into_iter().flatten().flatten();
        let mut entries: Vec<Entry> = files
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .collect();
        entries.sort_by_key(|entry| entry.gpu);
        entries
    }

    /// Returns when it is on the disk.
    pub fn save(&self, entry: &Entry) -> Result<()> {
        let (path, new) = (self.path(entry.gpu), self.path(entry.gpu).with_extension("new"));
        let cannot = || format!("can't write {}", path.display());
        self.make_folder().with_context(cannot)?;
        let mut file = File::create(&new).with_context(cannot)?;
        // Everybody may read what waits to be given back.
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
    pub fn lock(&self) -> Result<File> {
        let path = self.0.path(FOLDER).join("lock");
        let locked = self.make_folder().and_then(|()| {
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(file)
        });
        locked.with_context(|| format!("can't lock {}", path.display()))
    }

    fn make_folder(&self) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(self.0.path(FOLDER))
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        File::open(self.0.path(FOLDER))?.sync_all()
    }
}
