//! How folder and copy were when the copy was made, or last brought into agreement.

use crate::protocol::request::Bytes;
use crate::sys::files;
use crate::tree::{self, Folder, Kind, Metadata};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

const FILE: &str = "base.json";

/// What differs in a file that was changed: its size, and the time of its last change, in nanoseconds since 1970, which no program
/// can set (inode(7), ctime).
pub type Stamp = (u64, u64);

pub fn stamp(found: &Metadata) -> Stamp {
    let since = found.changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    (found.size, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub kind: u8,
    pub mode: u32,
    pub copy: Stamp,
    /// None: the folder has no such file.
    pub host: Option<Stamp>,
}

impl Entry {
    pub fn new(copy: &Metadata, host: Option<&Metadata>) -> Self {
        Self { kind: number(copy.kind), mode: copy.mode, copy: stamp(copy), host: host.map(stamp) }
    }

    pub fn is_folder(&self) -> bool {
        self.kind == number(Kind::Folder)
    }

    /// Whether the VM has left it alone. What is in a folder is looked at by itself.
    pub fn is_unchanged(&self, copy: &Metadata) -> bool {
        let is_same = number(copy.kind) == self.kind && copy.mode == self.mode;
        is_same && (self.is_folder() || stamp(copy) == self.copy)
    }
}

fn number(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Folder => 1,
        Kind::Link => 2,
        Kind::Other => 3,
    }
}

#[derive(Debug, Default)]
pub struct Base {
    pub origin: PathBuf,
    /// By their paths below the folder.
    pub entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    origin: Bytes,
    entries: Vec<(Bytes, Entry)>,
}

impl Base {
    /// # Errors
    /// There is none: the copy is not complete.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let cannot = || format!("can't read {}", path.display());
        let stored: Stored =
            serde_json::from_slice(&fs::read(&path).with_context(cannot)?).with_context(cannot)?;
        let entries = stored.entries.into_iter().map(|(name, entry)| (path_of(&name), entry));
        Ok(Self { origin: path_of(&stored.origin), entries: entries.collect() })
    }

    /// # Errors
    /// It can't be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let entries = self.entries.iter().map(|(path, entry)| (bytes_of(path), *entry));
        let stored = Stored { origin: bytes_of(&self.origin), entries: entries.collect() };
        let path = folder.join(FILE);
        files::replace(&path, &serde_json::to_vec(&stored)?, &path.with_extension("new"))
            .with_context(|| format!("can't write {}", path.display()))
    }

    /// Copies what is in a folder. Sockets, pipes and devices are left out.
    ///
    /// # Errors
    /// A file can't be read or written; the error names it.
    pub fn copy(&mut self, from: &Folder, to: &Folder, below: &Path) -> Result<()> {
        for name in from.names()? {
            let path = below.join(&name);
            self.copy_one(from, to, &name, &path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn copy_one(&mut self, from: &Folder, to: &Folder, name: &OsStr, path: &Path) -> Result<()> {
        let Some(found) = from.look(name)? else { return Ok(()) };
        match found.kind {
            Kind::Other => return Ok(()),
            Kind::Folder => {
                to.make_folder(name)?;
                let inner = to.enter(name)?;
                self.copy(&from.enter(name)?, &inner, path)?;
                inner.finish(found.mode, found.modified)?;
            }
            Kind::File | Kind::Link => copy_file(from, name, &found, to, name)?,
        }
        if let Some(copy) = to.look(name)? {
            self.entries.insert(path.to_owned(), Entry::new(&copy, Some(&found)));
        }
        Ok(())
    }
}

/// Makes the new file or link `as_name`.
///
/// # Errors
/// It can't be read or written.
pub fn copy_file(
    from: &Folder,
    name: &OsStr,
    found: &Metadata,
    to: &Folder,
    as_name: &OsStr,
) -> io::Result<()> {
    if found.kind == Kind::Link {
        return to.make_link(&from.read_link(name)?, as_name, found.modified);
    }
    let mut file = to.create(as_name)?;
    io::copy(&mut from.open_file(name)?, &mut file)?;
    tree::finish(&file, found.mode, found.modified)
}

fn bytes_of(path: &Path) -> Bytes {
    Bytes(path.as_os_str().as_encoded_bytes().to_vec())
}

fn path_of(bytes: &Bytes) -> PathBuf {
    // SAFETY: written by this program on this system, as an OsStr's; a base is in a private folder.
    let name: OsString = unsafe { OsStr::from_encoded_bytes_unchecked(&bytes.0) }.to_owned();
    name.into()
}
