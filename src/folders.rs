//! Where things are kept, by each system's custom (XDG base directories, Known Folders, Library), and
//! made so that only the user can look inside.

use crate::error::{Error, Kind, Result};
use crate::fault::{self, Point};
use crate::units::VmName;
use anyhow::Context;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[cfg_attr(unix, path = "folders/unix.rs")]
#[cfg_attr(windows, path = "folders/windows.rs")]
pub mod os;

/// Paths only: nothing is made by asking for them.
pub struct Folders {
    cache: PathBuf,
    config: PathBuf,
    state: PathBuf,
    data: PathBuf,
}

impl Folders {
    /// # Errors
    /// The user has no home folder.
    pub fn find() -> Result<Self> {
        os::folders().ok_or_else(|| {
            let home = os::HOME;
            Error::new(
                Kind::Failed,
                format!("no home folder: neither {home} nor the user database names one"),
            )
            .hint(format!("set {home} to a folder of yours"))
        })
    }

    /// Extracted assets and overlays: can be made again.
    pub fn cache_path(&self) -> PathBuf {
        self.cache.clone()
    }

    /// The overlay of the VM that this process launches; on disk, since it grows with what a guest writes.
    pub fn overlay_path(&self) -> PathBuf {
        self.cache.join("overlays").join(std::process::id().to_string())
    }

    pub fn config_file_path(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// What is known of the VMs: a folder for each.
    pub fn vms_path(&self) -> PathBuf {
        self.state.join("vms")
    }

    /// OpenSSH's configuration for all VMs.
    pub fn ssh_config_path(&self) -> PathBuf {
        self.vms_path().with_file_name("ssh-config")
    }

    /// What failed starts taught.
    pub fn learnt_path(&self) -> PathBuf {
        self.vms_path().with_file_name("learnt.json")
    }

    /// Where `make gpu-pack` puts the drivers of physical GPUs.
    pub fn gpu_pack_path(&self) -> PathBuf {
        self.data.join("gpu-pack")
    }

    /// Why no VM can be saved or started from a saved one with these folders, if none can: QMP takes names in UTF-8 alone,
    /// and a disk image has room for 1023 bytes of the name of the one below it.
    pub fn unfit_for_checkpoints(&self) -> Option<String> {
        const LONGEST: usize = 1023 - 100; // what follows in them
        let fits = |folder: &PathBuf| folder.to_str().is_some_and(|name| name.len() <= LONGEST);
        let unfit = [&self.cache, &self.data].into_iter().find(|folder| !fits(folder))?;
        Some(format!("{} is not UTF-8, or too long a name", unfit.display()))
    }

    /// The disks that keep the VMs' homes: the only thing here that can't be made again.
    pub fn home_path(&self, name: &VmName) -> PathBuf {
        self.data.join("homes").join(format!("{name}.img"))
    }
}

/// The folder at `path`, which is made with those above it (mode 0700) if there is nothing. What is there may be something
/// else; a link is not looked behind.
pub fn make(path: &Path) -> io::Result<Metadata> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            os::create_folder(path)?;
            fs::symlink_metadata(path)
        }
        found => found,
    }
}

/// Sees to it that the folder is there and the user's alone (mode 0700), and makes it and those above it if need be.
///
/// # Errors
/// In its place is a link, or a folder of another user's: what is in it others could change.
pub fn create_private(path: &Path) -> Result<()> {
    let cannot = || format!("can't make the folder {}", path.display());
    let found = make(path).with_context(cannot)?;
    let because =
        if found.is_dir() { os::stranger(&found) } else { Some("it is a link or a file".to_owned()) };
    if let Some(because) = because {
        return Err(Error::new(
            Kind::Failed,
            format!("{} can't serve as a folder: {because}", path.display()),
        )
        .hint(format!("move {} away, or mend it", path.display())));
    }
    os::set_private(path, &found).with_context(cannot)?;
    Ok(())
}

/// Removes a folder in which `lock` lies, which is held until nothing else is left. Where a file keeps its name until
/// nobody has it open (Windows, on some file systems), so does the folder.
pub fn remove_locked(folder: &Path, lock: impl Sized) -> io::Result<()> {
    let removed = fs::remove_dir_all(folder);
    drop(lock);
    match removed {
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => fs::remove_dir(folder),
        removed => removed,
    }
}

/// Writes a file as a whole: whoever reads it, at whatever moment, finds the old text or the new one. `new` is a path on
/// the same file system that nobody else writes to. A file that has this text already stays.
pub fn replace(path: &Path, text: &[u8], new: &Path) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(new, text).with_context(|| format!("can't write {}", new.display()))?;
    fault::point(Point::StateWritten);
    os::rename(new, path).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_where_its_text_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("told"), folder.path().join("new"));
        replace(&path, b"one", &new).unwrap();
        let early = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(&path).unwrap().set_modified(early).unwrap();
        let changed = || fs::metadata(&path).unwrap().modified().unwrap();
        replace(&path, b"one", &new).unwrap();
        assert_eq!(changed(), early, "it was written again");
        replace(&path, b"two", &new).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(changed() > early && !new.exists());
    }
}
