//! The disk with a VM's /home: a sparse file, which the guest formats and fills. It is the only file that can't be made
//! again, so it is created once, only enlarged, and removed by `rm` alone.

use crate::error::{Error, Result};
use crate::failpoints::{self, FailPoint};
use crate::model::units::HomeSize;
use crate::sys::files;
use anyhow::Context;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub struct HomeFile(PathBuf);

impl HomeFile {
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the disk if there is none, and enlarges it if it is smaller than `size`. The caller must have reserved the
    /// VM's name.
    ///
    /// # Errors
    /// It can't be written, or its path is not a file; then nothing is changed.
    pub fn prepare(&self, size: HomeSize) -> Result<()> {
        let path = &self.0;
        let cannot = || format!("can't create the home disk {}", path.display());
        files::create_private(path.parent().expect("it is in a folder"))?;
        let file = match files::create_new_private(path) {
            Ok(file) => {
                files::make_sparse(&file).with_context(cannot)?;
                failpoints::hit(FailPoint::HomeMade);
                file
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(path).with_context(cannot)?.is_file() {
                    return Err(Error::bad_input(format!(
                        "{} is not a home disk: it is not a file",
                        path.display()
                    ))
                    .hint("rename it, or use another VM name: virtualghost --name OTHER"));
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

    /// The space that it uses on the host's disk in bytes, if it exists.
    pub fn bytes_on_disk(&self) -> Option<u64> {
        Some(files::bytes_on_disk(&fs::symlink_metadata(&self.0).ok()?))
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
        let home = HomeFile::at(folder.path().join("homes/web.img"));
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
    fn it_is_sparse_and_private_and_no_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = HomeFile::at(folder.path().join("web.img"));
        home.prepare("64".parse().unwrap()).unwrap();
        assert!(home.bytes_on_disk().unwrap() < 1 << 20, "it is not sparse");
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link.img");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let refusal = HomeFile::at(link.clone()).prepare("128".parse().unwrap()).unwrap_err();
        assert_eq!(refusal.kind, crate::error::Kind::BadInput);
        assert!(refusal.to_string().contains(link.to_str().unwrap()), "{refusal}");
        assert_eq!(fs::metadata(home.path()).unwrap().len(), 64 << 20);
    }
}
