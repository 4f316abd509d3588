//! The disk that keeps a VM's /home: a sparse file, which the guest formats, fills and grows. The only file of
//! VirtualGhost's that can't be made again, so it is made once, only ever enlarged, and removed by `rm` alone.

use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::folders::{self, os};
use crate::units::HomeMiB;
use anyhow::Context;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub struct Home(PathBuf);

impl Home {
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the disk if there is none, and enlarges it if it is smaller than `size`. Call it with the VM's name taken.
    ///
    /// # Errors
    /// It can't be written, or there is something else at its path: that stays as it is.
    pub fn prepare(&self, size: HomeMiB) -> Result<()> {
        let path = &self.0;
        let cannot = || format!("can't make the home disk {}", path.display());
        folders::create_private(path.parent().expect("it is in a folder"))?;
        let file = match os::create_new_private(path) {
            Ok(file) => {
                os::make_sparse(&file).with_context(cannot)?;
                fault::point(Point::HomeMade);
                file
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(path).with_context(cannot)?.is_file() {
                    return Err(Error::bad_input(format!(
                        "{} is not a file, so no home disk",
                        path.display()
                    ))
                    .hint("move it away, or take another name: virtualghost --name OTHER"));
                }
                File::options().read(true).write(true).open(path).with_context(cannot)?
            }
            Err(e) => return Err(anyhow::Error::new(e).context(cannot()).into()),
        };
        if file.metadata().with_context(cannot)?.len() < size.bytes() {
            file.set_len(size.bytes()).with_context(cannot)?;
        }
        Ok(())
    }

    /// What it takes on the host's disk, in bytes, if it is there.
    pub fn bytes_on_disk(&self) -> Option<u64> {
        Some(os::bytes_on_disk(&fs::symlink_metadata(&self.0).ok()?))
    }

    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(anyhow::Error::new(e).context(format!("can't remove {}", self.0.display())).into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_never_shrinks_and_keeps_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("homes/web.img"));
        let length = || fs::metadata(home.path()).unwrap().len();
        home.prepare("64".parse().unwrap()).unwrap();
        assert_eq!(length(), 64 << 20);
        use std::io::Write;
        File::options().write(true).open(home.path()).unwrap().write_all(b"mine").unwrap();
        home.prepare("128".parse().unwrap()).unwrap();
        home.prepare("64".parse().unwrap()).unwrap();
        assert_eq!(length(), 128 << 20);
        assert_eq!(&fs::read(home.path()).unwrap()[..4], b"mine");
    }

    #[cfg(unix)]
    #[test]
    fn it_is_sparse_and_the_users_alone_and_no_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("web.img"));
        home.prepare("64".parse().unwrap()).unwrap();
        assert!(home.bytes_on_disk().unwrap() < 1 << 20, "it is not sparse");
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link.img");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let refusal = Home::at(link).prepare("128".parse().unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("is not a file"), "{refusal}");
        assert_eq!(fs::metadata(home.path()).unwrap().len(), 64 << 20);
    }
}
