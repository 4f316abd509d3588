//! The root filesystem that a VM keeps: a disk that is an overlay over the image that it was made from. The image is held beside
//! it: by another link to the same file if it is the executable's, so neither `clean` nor another executable takes it away,
//! and as a copy if it is the user's own, which may be written.

use super::{create_overlay, disk_copy};
use crate::error::{Error, Kind, Result};
use crate::failpoints::{self, FailPoint};
use crate::model::Source;
use crate::model::units::RootSize;
use crate::qemu::qcow2::{self, Format};
use crate::sys::files;
use anyhow::Context;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const DISK: &str = "disk.qcow2";
const IMAGE: &str = "image";
const MADE_FROM: &str = "made-from";

/// The folder of one VM's system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System(PathBuf);

impl System {
    pub fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The disk: qcow2, with the image as its backing file, by a relative path.
    pub fn disk_path(&self) -> PathBuf {
        self.0.join(DISK)
    }

    pub fn image_path(&self) -> PathBuf {
        self.0.join(IMAGE)
    }

    /// A file with the path of the image, which is there if that was the user's own.
    pub fn made_from_path(&self) -> PathBuf {
        self.0.join(MADE_FROM)
    }

    pub fn exists(&self) -> bool {
        self.disk_path().exists()
    }

    /// The image that it was made from; None if there is no system.
    pub fn made_from(&self) -> Option<Source> {
        self.exists().then(|| {
            let own = fs::read_to_string(self.made_from_path()).ok();
            own.map_or(Source::Embedded, |path| Source::File(path.into()))
        })
    }

    /// Creates the system over the image at `rootfs` if there is none, and grows its disk if it is smaller than `size`. The
    /// caller must have reserved the VM's name. `made_from`: whose image it is.
    ///
    /// # Errors
    /// It can't be written; then what was there is unchanged.
    pub fn prepare(&self, rootfs: &Path, made_from: &Source, size: RootSize) -> Result<()> {
        if self.exists() {
            if !self.image_path().exists() {
                return Err(unusable(format!("it has lost its image, {}", self.image_path().display())));
            }
            return grow(&self.disk_path(), size.bytes());
        }
        files::create_private(&self.0)?;
        // Without a disk, an image is left over from a start that was killed, maybe of another executable.
        let image = self.image_path();
        let cannot = || format!("can't keep the image {} in {}", rootfs.display(), self.0.display());
        for left in [&image, &self.made_from_path()] {
            files::remove_if_there(left).with_context(cannot)?;
        }
        match made_from {
            Source::Embedded => disk_copy::link_or_copy(rootfs, &image).with_context(cannot)?,
            Source::File(path) => {
                disk_copy::copy(rootfs, &image).with_context(cannot)?;
                // As it is shown: a path that is not UTF-8 is none that can be compared.
                fs::write(self.made_from_path(), path.to_string_lossy().as_bytes()).with_context(cannot)?;
            }
        }
        failpoints::hit(FailPoint::SystemImageKept);
        let new = self.0.join("disk.new");
        create_overlay(&new, &image, Path::new(IMAGE), size)?;
        let cannot = || format!("can't create {}", self.disk_path().display());
        File::options().write(true).open(&new).and_then(|disk| disk.sync_all()).with_context(cannot)?;
        files::rename(&new, &self.disk_path()).with_context(cannot)?;
        Ok(())
    }

    /// The space that its disk uses on the host's disk in bytes, if it exists. The image is the executable's too.
    pub fn bytes_on_disk(&self) -> Option<u64> {
        Some(files::bytes_on_disk(&fs::symlink_metadata(self.disk_path()).ok()?))
    }

    /// # Errors
    /// A file can't be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(anyhow::Error::new(e).context(format!("can't remove {}", self.0.display())).into())
            }
            _ => Ok(()),
        }
    }
}

fn unusable(because: String) -> Error {
    Error::new(Kind::Failed, format!("the kept system can't be started: {because}"))
        .hint("go back to a snapshot of it (virtualghost restore), or start the VM without it: --keep home")
}

/// Makes a disk of [`create_overlay`] larger, to `size` bytes; the guest grows its filesystem.
fn grow(disk: &Path, size: u64) -> Result<()> {
    let cannot = || format!("can't read {}", disk.display());
    let mut file = File::options().read(true).write(true).open(disk).with_context(cannot)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(32).read_to_end(&mut head).with_context(cannot)?;
    match qcow2::format_and_size(&head, 0) {
        (Format::Raw, _) => {
            return Err(unusable(format!("{} is not a disk in the format qcow2", disk.display())));
        }
        (Format::Qcow2, own_size) if own_size >= size => return Ok(()),
        (Format::Qcow2, _) => {}
    }
    for (at, bytes) in qcow2::size_fields(size) {
        let cannot = || format!("can't grow {}", disk.display());
        file.seek(SeekFrom::Start(at)).with_context(cannot)?;
        file.write_all(&bytes).with_context(cannot)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::skipped;
    use std::process::Command;

    /// A system in a new folder, over an image of the text `image`, whose file is returned too.
    fn made(folder: &Path) -> (System, PathBuf) {
        let image = folder.join("rootfs.img");
        fs::write(&image, "image").unwrap();
        let system = System::at(folder.join("systems/web"));
        system.prepare(&image, &Source::Embedded, "8192".parse().unwrap()).unwrap();
        (system, image)
    }

    #[test]
    fn it_keeps_its_image_and_its_disk_whatever_becomes_of_the_executables() {
        let folder = tempfile::tempdir().unwrap();
        let (system, image) = made(folder.path());
        let disk = fs::read(system.disk_path()).unwrap();
        fs::remove_file(&image).unwrap();
        fs::write(&image, "a newer image").unwrap();
        system.prepare(&image, &Source::Embedded, "8192".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(system.image_path()).unwrap(), "image");
        assert_eq!(fs::read(system.disk_path()).unwrap(), disk);
        assert_eq!(system.made_from(), Some(Source::Embedded));
    }

    #[test]
    fn an_image_of_the_users_own_may_be_written_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (own, system) = (folder.path().join("own.img"), System::at(folder.path().join("web")));
        fs::write(&own, "image").unwrap();
        assert_eq!(system.made_from(), None);
        system.prepare(&own, &Source::File(own.clone()), "8192".parse().unwrap()).unwrap();
        File::options().write(true).open(&own).unwrap().write_all(b"other").unwrap();
        assert_eq!(fs::read_to_string(system.image_path()).unwrap(), "image");
        assert_eq!(system.made_from(), Some(Source::File(own)));
    }

    #[test]
    fn a_start_that_was_killed_while_it_made_one_leaves_nothing_that_the_next_one_takes_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::at(folder.path().join("web"));
        fs::create_dir(system.path()).unwrap();
        fs::write(system.image_path(), "half an im").unwrap();
        fs::write(system.path().join("disk.new"), "half a disk").unwrap();
        assert!(!system.exists());
        let image = folder.path().join("rootfs.img");
        fs::write(&image, "image").unwrap();
        fs::write(system.path().join(MADE_FROM), "/own.img").unwrap();
        system.prepare(&image, &Source::Embedded, "8192".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(system.image_path()).unwrap(), "image");
        assert_eq!(system.made_from(), Some(Source::Embedded));
        assert!(!system.path().join("disk.new").exists());
    }

    #[test]
    fn a_system_that_something_happened_to_is_refused_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (system, image) = made(folder.path());
        let refusal = || system.prepare(&image, &Source::Embedded, "65536".parse().unwrap()).unwrap_err();
        fs::write(system.disk_path(), "something of the user's").unwrap();
        assert!(refusal().to_string().contains(DISK), "{}", refusal());
        assert_eq!(fs::read_to_string(system.disk_path()).unwrap(), "something of the user's");
        fs::remove_file(system.image_path()).unwrap();
        assert!(refusal().to_string().contains("image"), "{}", refusal());
    }

    #[test]
    fn its_disk_grows_and_never_shrinks_and_qemu_accepts_it() {
        let folder = tempfile::tempdir().unwrap();
        let (system, image) = made(folder.path());
        let size = || {
            let head = fs::read(system.disk_path()).unwrap();
            qcow2::format_and_size(&head[..32], 0).1
        };
        assert_eq!(size(), 8 << 30);
        for size in ["65536", "8192"] {
            system.prepare(&image, &Source::Embedded, size.parse().unwrap()).unwrap();
        }
        assert_eq!(size(), 64 << 30);
        if Command::new("qemu-img").arg("--version").output().is_err() {
            return skipped("system: qemu-img accepts a disk that was grown", "qemu-img is not installed");
        }
        // The backing file is found from another folder, also after the VM was renamed.
        let renamed = folder.path().join("api");
        fs::rename(system.path(), &renamed).unwrap();
        let check = Command::new("qemu-img").arg("check").arg(renamed.join(DISK)).output().unwrap();
        assert!(check.status.success(), "{check:?}");
    }
}
