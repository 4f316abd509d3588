//! The files of checkpoints. They are in the folder of the artifacts that they were made with, and are removed with it:
//!
//! ```text
//! CACHE/assets/DIGEST/checkpoints/KEY/{memory,disk,about.json}
//! ```
//!
//! KEY is a digest of everything that a start must have in common with the saved VM. A checkpoint that is being made is
//! beside the launch's overlay, so that a launch that is killed leaves nothing.

use crate::error::Result;
use crate::failpoints::{self, FailPoint};
use crate::instance;
use crate::model::VmSpec;
use crate::model::units::RootSize;
use crate::payload::{format_mib, gc};
use crate::qemu;
use crate::sys::files::{self, Folder};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files of a checkpoint.
const MEMORY: &str = "memory";
const DISK: &str = "disk";
const ABOUT: &str = "about.json";

/// Different settings have different checkpoints; the latest are kept.
const MOST: usize = 3;

/// Prefix of the name of a folder that a newer checkpoint has replaced.
const ASIDE: &str = ".";

/// The place of a VM's checkpoint, which exists or not.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
}

/// The files of a checkpoint that exists or is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFiles {
    pub folder: PathBuf,
    pub memory: PathBuf,
    pub disk: PathBuf,
}

impl CheckpointFiles {
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: folder.join(MEMORY), disk: folder.join(DISK) }
    }

    /// Creates the folder, and in it the disk, over `rootfs` and still empty.
    ///
    /// # Errors
    /// They can't be written.
    pub fn begin(&self, rootfs: &Path, size: RootSize) -> Result<()> {
        // A failed attempt may have left files.
        if self.folder.exists() {
            let cannot = || format!("can't create {}", self.folder.display());
            fs::remove_dir_all(&self.folder).with_context(cannot)?;
        }
        files::create_private(&self.folder)?;
        instance::create_overlay(&self.disk, rootfs, rootfs, size)
    }
}

/// Metadata of each file when it was written: type, length and time of the last change.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    memory: String,
    disk: String,
}

impl About {
    fn of(files: &CheckpointFiles) -> io::Result<Self> {
        let folder = Folder::open(&files.folder)?;
        Ok(Self { memory: folder.look(Path::new(MEMORY))?, disk: folder.look(Path::new(DISK))? })
    }
}

impl Checkpoint {
    #[cfg(test)]
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The checkpoint of `spec` on `machine` (see [`crate::host::HostFacts`]), in the folder `all`.
    pub fn new(all: &Path, spec: &VmSpec, machine: &str) -> Self {
        let identity = format!("{machine}\n{}", qemu::machine_identity(spec));
        Self { folder: all.join(&blake3::hash(identity.as_bytes()).to_hex()[..20]) }
    }

    /// The files, if the checkpoint exists and is complete.
    pub fn find(&self) -> Option<CheckpointFiles> {
        let files = CheckpointFiles::in_folder(&self.folder);
        let about: About = serde_json::from_slice(&fs::read(self.folder.join(ABOUT)).ok()?).ok()?;
        (About::of(&files).ok()? == about).then_some(files)
    }

    /// Syncs the files in `made`, which QEMU has written, and makes them the checkpoint. The oldest of the others are removed;
    /// a VM that uses one of them has its files open.
    ///
    /// # Errors
    /// They can't be written or renamed.
    pub fn publish(&self, made: &Path) -> Result<()> {
        let files = CheckpointFiles::in_folder(made);
        let cannot = || format!("can't write {}", made.display());
        for file in [&files.memory, &files.disk] {
            sync(file).with_context(cannot)?;
        }
        let about = About::of(&files).with_context(cannot)?;
        let path = made.join(ABOUT);
        fs::write(&path, serde_json::to_vec(&about).expect("two texts")).with_context(cannot)?;
        sync(&path).with_context(cannot)?;
        files::sync_folder(made).with_context(cannot)?;
        let all = self.folder.parent().expect("it is in a folder");
        files::create_private(all)?;
        failpoints::hit(FailPoint::CheckpointMade);
        self.rename_here(made).with_context(|| format!("can't create {}", self.folder.display()))?;
        files::sync_folder(all).with_context(|| format!("can't create {}", self.folder.display()))?;
        failpoints::hit(FailPoint::CheckpointNamed);
        remove_oldest(all);
        Ok(())
    }

    /// Another launch may publish the same checkpoint at the same time: the last one wins.
    fn rename_here(&self, made: &Path) -> io::Result<()> {
        const ATTEMPTS: usize = 10;
        let name = self.folder.file_name().expect("it has a name").to_string_lossy();
        let aside = self.folder.with_file_name(format!("{ASIDE}{name}.{}", std::process::id()));
        let mut renamed = files::rename(made, &self.folder);
        for _ in 0..ATTEMPTS {
            if renamed.is_ok() {
                break;
            }
            let _ = fs::remove_dir_all(&aside);
            let _ = files::rename(&self.folder, &aside);
            renamed = files::rename(made, &self.folder);
        }
        let _ = fs::remove_dir_all(&aside);
        renamed
    }

    /// Removes a checkpoint that failed to restore.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// A sentence about an existing checkpoint, with its size on the disk.
    pub fn description(&self) -> String {
        let bytes = gc::disk_usage(&self.folder).unwrap_or(0);
        format!("the next start is instant; its checkpoint uses {} of disk space", format_mib(bytes))
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
    let (replaced, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, path)| is_replaced(path));
    let old = found.len().saturating_sub(MOST);
    for (_, path) in replaced.iter().chain(&found[..old]) {
        let _ = fs::remove_dir_all(path);
    }
}

fn is_replaced(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ASIDE))
}

/// Opened for writing, without which Windows does not sync.
fn sync(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Os;
    use crate::testing::{host, spec};
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
    fn a_setting_has_its_own_checkpoint_only_if_it_changes_the_machine() {
        let all = tempfile::tempdir().unwrap();
        let folder = |config: &str, machine: &str| checkpoint(&all, config, machine).folder;
        let plain = folder("", "here");
        for (config, machine) in [
            ("", "there"),
            ("memory = 1024", "here"),
            ("vcpus = 1", "here"),
            ("keyboard = \"de\"", "here"),
            ("terminal = \"ghostty\"", "here"),
            ("display = \"none\"", "here"),
            ("size = \"800x600\"", "here"),
            ("root_size = 8192", "here"),
        ] {
            assert_ne!(folder(config, machine), plain, "{config} {machine}");
        }
        for config in [
            "display = \"sdl\"",
            "fullscreen = true",
            "poweroff_timeout = 3",
            "home_size = 64",
            "hostname = \"x\"",
        ] {
            assert_eq!(folder(config, "here"), plain, "{config}");
        }
    }

    #[test]
    fn a_checkpoint_is_complete_or_is_not_found() {
        let all = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(&all, "", "here");
        assert_eq!(checkpoint.find(), None);
        checkpoint.publish(&made(&all, "state")).unwrap();
        let files = checkpoint.find().unwrap();
        assert_eq!(fs::read_to_string(&files.memory).unwrap(), "state");
        fs::write(&files.memory, "stat").unwrap();
        assert_eq!(checkpoint.find(), None);
        checkpoint.publish(&made(&all, "again")).unwrap();
        let files = checkpoint.find().unwrap();
        // The same length, and still not the same content.
        fs::write(&files.memory, "AGAIN").unwrap();
        let early = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        File::options().write(true).open(&files.memory).unwrap().set_modified(early).unwrap();
        assert_eq!(checkpoint.find(), None);
        checkpoint.publish(&made(&all, "once more")).unwrap();
        assert!(checkpoint.find().is_some());
        checkpoint.discard();
        assert_eq!(checkpoint.find(), None);
    }

    #[test]
    fn launches_that_publish_at_the_same_time_all_succeed() {
        let all = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint { folder: all.path().join("checkpoints/key") };
        let publish = |n: usize| {
            let made = all.path().join(format!("made-{n}"));
            fs::create_dir_all(&made).unwrap();
            for name in [MEMORY, DISK] {
                fs::write(made.join(name), "state").unwrap();
            }
            checkpoint.publish(&made).unwrap();
        };
        std::thread::scope(|scope| {
            for n in 0..8 {
                scope.spawn(move || publish(n));
            }
        });
        assert!(checkpoint.find().is_some());
    }

    #[test]
    fn the_latest_checkpoints_are_kept() {
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

#[cfg(all(test, unix))]
#[path = "texts.rs"]
mod texts;
