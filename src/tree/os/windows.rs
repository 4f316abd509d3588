//! Windows: by paths, since there is no openat(2). Nothing but this program is in the target folder during a copy, so what
//! was no link a moment ago is none now. Names and links that Windows can't have are refused.

use crate::tree::{Kind, Metadata};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::windows::fs::symlink_file;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub struct Folder(PathBuf);

impl Folder {
    /// Follows links: this is a path that the user named.
    pub fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            Ok(Self(path.to_owned()))
        } else {
            Err(ErrorKind::NotADirectory.into())
        }
    }

    pub fn enter(&self, name: &OsStr) -> io::Result<Self> {
        match self.look(name)?.map(|found| found.kind) {
            Some(Kind::Folder) => Ok(Self(self.0.join(name))),
            Some(_) => Err(io::Error::other("it is a link or a file, not a folder")),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// What has this name, if anything does.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Metadata>> {
        let found = match fs::symlink_metadata(self.0.join(name)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let (kind, mode) = match found.file_type() {
            kind if kind.is_symlink() => (Kind::Link, 0o777),
            kind if kind.is_dir() => (Kind::Folder, 0o755),
            kind if kind.is_file() => (Kind::File, 0o644),
            _ => (Kind::Other, 0),
        };
        let modified = found.modified()?;
        Ok(Some(Metadata { kind, mode, modified, changed: modified, size: found.len() }))
    }

    /// In order, so that a copy is the same each time.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names =
            fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// For reading.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        File::open(self.0.join(name))
    }

    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(fs::read_link(self.0.join(name))?.into_os_string())
    }

    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    /// A new file for writing.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        File::options().write(true).create_new(true).open(self.0.join(name))
    }

    /// Windows tells links to files from those to folders, and a link of the guest's may come before its target: it is one to
    /// a file.
    pub fn make_link(&self, target: &OsStr, name: &OsStr, _modified: SystemTime) -> io::Result<()> {
        symlink_file(target, self.0.join(name))
    }

    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    /// An empty one.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    /// Nothing: the times of a folder can't be set through its path, and there are no modes.
    pub fn finish(&self, _mode: u32, _modified: SystemTime) -> io::Result<()> {
        Ok(())
    }
}

/// Sets what a file gets when it is complete.
pub fn finish(file: &File, _mode: u32, modified: SystemTime) -> io::Result<()> {
    file.set_modified(modified)
}

/// A name of the stream, if Windows can have such a file ("Naming Files, Paths, and Namespaces").
pub fn name_of(bytes: &[u8]) -> io::Result<Cow<'_, OsStr>> {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];
    let text = std::str::from_utf8(bytes).map_err(|_| io::Error::other("the name is no text"))?;
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_device = DEVICES.contains(&stem.trim_end_matches(|c: char| c.is_numeric()));
    let has_odd = text.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c));
    if is_device || has_odd || text.ends_with(['.', ' ']) {
        return Err(io::Error::other("Windows can't have a file of that name"));
    }
    Ok(Cow::Borrowed(OsStr::new(text)))
}

/// What a link of the stream points to.
pub fn name_of_target(bytes: &[u8]) -> io::Result<Cow<'_, OsStr>> {
    let text = std::str::from_utf8(bytes).map_err(|_| io::Error::other("the link's target is no text"))?;
    Ok(Cow::Owned(text.replace('/', "\\").into()))
}

/// A name for the stream.
pub fn os_bytes(name: &OsStr) -> io::Result<&[u8]> {
    name.to_str().map(str::as_bytes).ok_or_else(|| io::Error::other("the name is no text"))
}
