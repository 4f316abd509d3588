//! Checkpoints: VMs that were saved before they were anybody's, for others to start from. They lie with the version of
//! the parts that they were made with, and go with it:
//!
//! ```text
//! CACHE/assets/DIGEST/checkpoints/KEY/{memory,disk,about.json}
//! ```
//!
//! KEY stands for all that a start must have in common with what was saved. What is written to a checkpoint that is being
//! made lies with the launch's overlay, so that a launch that is killed leaves nothing.

use crate::assets::{self, clean};
use crate::error::Result;
use crate::fault::{self, Point};
use crate::folders;
use crate::plan::VmSpec;
use crate::qemu::{self, overlay};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files of a checkpoint.
const MEMORY: &str = "memory";
const DISK: &str = "disk";
const ABOUT: &str = "about.json";

/// Other settings make another checkpoint; the latest of them are kept.
const MOST: usize = 3;

/// Where the checkpoint of a VM lies, if there is one.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
}

/// The files of one that is there, or is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub folder: PathBuf,
    pub memory: PathBuf,
    pub disk: PathBuf,
}

impl Files {
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: folder.join(MEMORY), disk: folder.join(DISK) }
    }

    /// Makes the folder, and in it the disk, over `rootfs`, which nothing is written to yet.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(&self, rootfs: &Path) -> Result<()> {
        let cannot = || format!("can't make {}", self.disk.display());
        // What an attempt that failed has left.
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(cannot)?;
        }
        folders::create_private(&self.folder)?;
        let size = fs::metadata(rootfs).with_context(|| format!("can't read {}", rootfs.display()))?.len();
        let disk = overlay::over(rootfs, size)
            .with_context(|| format!("{} is no path for a disk image of QEMU's", rootfs.display()))?;
        Ok(fs::write(&self.disk, disk).with_context(cannot)?)
    }
}

/// Lengths in bytes: a file of another is not what was written.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    memory: u64,
    disk: u64,
}

impl About {
    fn of(files: &Files) -> io::Result<Self> {
        Ok(Self { memory: fs::metadata(&files.memory)?.len(), disk: fs::metadata(&files.disk)?.len() })
    }
}

impl Checkpoint {
    /// Of `spec` on `machine` (see [`crate::host::HostFacts`]), among those in the folder `all`.
    pub fn new(all: &Path, spec: &VmSpec, machine: &str) -> Self {
        let identity = format!("{machine}\n{}", qemu::machine_identity(spec));
        Self { folder: all.join(&blake3::hash(identity.as_bytes()).to_hex()[..20]) }
    }

    /// The files, if it is there and whole.
    pub fn find(&self) -> Option<Files> {
        let files = Files::in_folder(&self.folder);
        let about: About = serde_json::from_slice(&fs::read(self.folder.join(ABOUT)).ok()?).ok()?;
        (About::of(&files).ok()? == about).then_some(files)
    }

    /// Makes the files in `made`, which QEMU has written, the checkpoint, once they are on the disk. The oldest of the
    /// others go; a VM that runs on one has its files open.
    ///
    /// # Errors
    /// They can't be written or renamed.
    pub fn publish(&self, made: &Path) -> Result<()> {
        let files = Files::in_folder(made);
        let cannot = || format!("can't write {}", made.display());
        let about = About::of(&files).with_context(cannot)?;
        for file in [&files.memory, &files.disk] {
            sync(file).with_context(cannot)?;
        }
        let path = made.join(ABOUT);
        fs::write(&path, serde_json::to_vec(&about).expect("two numbers")).with_context(cannot)?;
        sync(&path).with_context(cannot)?;
        let all = self.folder.parent().expect("it is in a folder");
        folders::create_private(all)?;
        self.discard();
        fault::point(Point::CheckpointMade);
        fs::rename(made, &self.folder).with_context(|| format!("can't make {}", self.folder.display()))?;
        fault::point(Point::CheckpointNamed);
        remove_oldest(all);
        Ok(())
    }

    /// It does not start.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What there is to say of one that is there.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = clean::disk_usage(&self.folder).unwrap_or(0);
        write!(f, "the next start is instant; its checkpoint takes {}", assets::mib(bytes))
    }
}

fn remove_oldest(all: &Path) {
    let made = |path: &Path| fs::metadata(path.join(ABOUT)).and_then(|meta| meta.modified());
    let mut found: Vec<_> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (made(&entry.path()).unwrap_or(SystemTime::UNIX_EPOCH), entry.path()))
        .collect();
    found.sort();
    let old = found.len().saturating_sub(MOST);
    for (_, path) in found.drain(..old) {
        let _ = fs::remove_dir_all(path);
    }
}

/// Windows takes that from who may write.
fn sync(path: &Path) -> std::io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Os;
    use crate::plan::tests::{host, spec};
    use tempfile::TempDir;

    fn checkpoint(all: &TempDir, config: &str, machine: &str) -> Checkpoint {
        let config = format!("accel = \"tcg\"\ngl = \"off\"\n{config}");
        Checkpoint::new(all.path(), &spec(&host(Os::Linux), &config).unwrap(), machine)
    }

    fn made(all: &TempDir, text: &str) -> PathBuf {
        let made = all.path().join("made");
        fs::create_dir_all(&made).unwrap();
        fs::write(made.join(MEMORY), text).unwrap();
        fs::write(made.join(DISK), text).unwrap();
        made
    }

    #[test]
    fn what_differs_in_the_machine_has_a_checkpoint_of_its_own_and_what_does_not_has_not() {
        let all = tempfile::tempdir().unwrap();
        let folder = |config: &str, machine: &str| checkpoint(&all, config, machine).folder;
        let plain = folder("", "here");
        for (config, machine) in [
            ("", "there"),
            ("memory = 1024", "here"),
            ("vcpus = 1", "here"),
            ("keyboard = \"de\"", "here"),
            ("display = \"none\"", "here"),
            ("size = \"800x600\"", "here"),
        ] {
            assert_ne!(folder(config, machine), plain, "{config} {machine}");
        }
        for config in ["display = \"sdl\"", "fullscreen = true", "poweroff_timeout = 3", "home_size = 64"] {
            assert_eq!(folder(config, "here"), plain, "{config}");
        }
    }

    #[test]
    fn a_checkpoint_is_whole_or_it_is_none() {
        let all = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(&all, "", "here");
        assert_eq!(checkpoint.find(), None);
        checkpoint.publish(&made(&all, "state")).unwrap();
        let files = checkpoint.find().unwrap();
        assert_eq!(fs::read_to_string(&files.memory).unwrap(), "state");
        fs::write(&files.memory, "stat").unwrap();
        assert_eq!(checkpoint.find(), None);
        checkpoint.publish(&made(&all, "again")).unwrap();
        assert!(checkpoint.find().is_some());
        checkpoint.discard();
        assert_eq!(checkpoint.find(), None);
    }

    #[test]
    fn the_latest_are_kept() {
        let all = tempfile::tempdir().unwrap();
        let inside = all.path().join("checkpoints");
        let at = |n: usize| Checkpoint { folder: inside.join(n.to_string()) };
        for n in 0..MOST + 2 {
            at(n).publish(&made(&all, "state")).unwrap();
            let about = File::options().write(true).open(at(n).folder.join(ABOUT)).unwrap();
            about.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64)).unwrap();
        }
        let there: Vec<_> = (0..MOST + 2).filter(|&n| at(n).find().is_some()).collect();
        assert_eq!(there, [2, 3, 4]);
    }
}
