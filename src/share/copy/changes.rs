//! What a VM has changed in a copy, beside what has changed in the folder meanwhile.

use super::WorkingCopy;
use super::base::{Base, Entry, stamp};
use crate::error::Result;
use crate::tree::{Folder, Kind, Metadata};
use anyhow::Context;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A VM could make more than can be looked at: deeper folders, and more files, are an error.
const DEPTH: usize = 500;
const ENTRIES: usize = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Changed,
    Removed,
}

/// A difference between copy and folder that the VM has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Below the folder.
    pub path: PathBuf,
    pub what: What,
    pub is_folder: bool,
    /// It was changed in the folder, too.
    pub is_conflict: bool,
}

impl Change {
    /// The path as one line: the VM may have given a file a name that looks like several.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }
}

/// A path as one line.
pub fn shown(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}

/// In the order of their paths.
///
/// # Errors
/// The copy is not complete, or it or its folder can't be read.
pub fn changes(copy: &WorkingCopy) -> Result<Vec<Change>> {
    let base = Base::load(&copy.0)?;
    let tree = Folder::open(&copy.tree_path()).context("can't read the copy")?;
    let origin =
        Folder::open(&base.origin).with_context(|| format!("can't read {}", base.origin.display()))?;
    let mut now = BTreeMap::new();
    walk(&tree, Path::new(""), DEPTH, &mut now).context("can't read the copy")?;
    let mut changes = Vec::new();
    for (path, found) in &now {
        let entry = base.entries.get(path);
        if entry.is_some_and(|entry| entry.is_unchanged(found)) {
            continue;
        }
        let host = look(&origin, path)?;
        if is_same(&tree, path, found, &origin, host.as_ref()).unwrap_or(false) {
            continue;
        }
        changes.push(Change {
            path: path.clone(),
            what: if entry.is_some() { What::Changed } else { What::Added },
            is_folder: found.kind == Kind::Folder,
            is_conflict: has_changed(entry, host.as_ref()),
        });
    }
    for (path, entry) in base.entries.iter().filter(|(path, _)| !now.contains_key(*path)) {
        if let Some(host) = look(&origin, path)? {
            changes.push(Change {
                path: path.clone(),
                what: What::Removed,
                is_folder: entry.is_folder(),
                is_conflict: has_changed(Some(entry), Some(&host)),
            });
        }
    }
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

/// Whether the folder has it in another state than when the copy was made.
pub(super) fn has_changed(entry: Option<&Entry>, host: Option<&Metadata>) -> bool {
    match (entry.and_then(|entry| entry.host), host) {
        (None, None) => false,
        // What is in a folder is looked at by itself.
        (Some(_), Some(host)) if host.kind == Kind::Folder => !entry.is_some_and(Entry::is_folder),
        (Some(before), Some(host)) => stamp(host) != before,
        (None, Some(_)) | (Some(_), None) => true,
    }
}

fn walk(
    folder: &Folder,
    below: &Path,
    depth: usize,
    found: &mut BTreeMap<PathBuf, Metadata>,
) -> io::Result<()> {
    for name in folder.names()? {
        let Some(metadata) = folder.look(&name)? else { continue };
        let path = below.join(&name);
        match metadata.kind {
            // The VM's own: it can't be brought here.
            Kind::Other => continue,
            Kind::Folder if depth == 0 => {
                return Err(io::Error::other(format!("folders are more than {DEPTH} deep")));
            }
            Kind::Folder => walk(&folder.enter(&name)?, &path, depth - 1, found)?,
            Kind::File | Kind::Link => {}
        }
        if found.len() >= ENTRIES {
            return Err(io::Error::other(format!("there are more than {ENTRIES} files")));
        }
        found.insert(path, metadata);
    }
    Ok(())
}

/// The folder that a path is in, and its last name; None if there is no such folder.
pub(super) fn parent(root: &Folder, path: &Path) -> io::Result<Option<(Folder, OsString)>> {
    let mut folder = root.enter(OsStr::new("."))?;
    for name in path.parent().into_iter().flat_map(Path::iter) {
        match folder.look(name)?.map(|found| found.kind) {
            Some(Kind::Folder) => folder = folder.enter(name)?,
            _ => return Ok(None),
        }
    }
    Ok(path.file_name().map(|name| (folder, name.to_owned())))
}

fn look(root: &Folder, path: &Path) -> Result<Option<Metadata>> {
    let found = parent(root, path).and_then(|place| match place {
        Some((folder, name)) => folder.look(&name),
        None => Ok(None),
    });
    Ok(found.with_context(|| format!("can't read {}", path.display()))?)
}

fn is_same(
    tree: &Folder,
    path: &Path,
    found: &Metadata,
    origin: &Folder,
    host: Option<&Metadata>,
) -> io::Result<bool> {
    let Some(host) = host.filter(|host| host.kind == found.kind) else { return Ok(false) };
    let (Some((ours, name)), Some((theirs, _))) = (parent(tree, path)?, parent(origin, path)?) else {
        return Ok(false);
    };
    Ok(match found.kind {
        Kind::Folder => true,
        Kind::Link => ours.read_link(&name)? == theirs.read_link(&name)?,
        Kind::File => {
            host.mode == found.mode
                && host.size == found.size
                && is_equal(ours.open_file(&name)?, theirs.open_file(&name)?)?
        }
        Kind::Other => false,
    })
}

fn is_equal(mut one: impl Read, mut other: impl Read) -> io::Result<bool> {
    let (mut first, mut second) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let length = one.read(&mut first)?;
        if length == 0 {
            return Ok(other.read(&mut second)? == 0);
        }
        match other.read_exact(&mut second[..length]) {
            Ok(()) if first[..length] == second[..length] => {}
            Ok(()) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}

/// What a file was and is: its first bytes, so many at most; a link's target. None if there is none, on that side.
///
/// # Errors
/// It can't be read.
pub fn contents(copy: &WorkingCopy, path: &Path, most: u64) -> Result<[Option<Vec<u8>>; 2]> {
    let origin = copy.origin().context("the copy is not complete")?;
    let read = |root: &Path| -> io::Result<Option<Vec<u8>>> {
        let Some((folder, name)) = parent(&Folder::open(root)?, path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        match folder.look(&name)?.map(|found| found.kind) {
            Some(Kind::File) => {
                folder.open_file(&name)?.take(most).read_to_end(&mut bytes)?;
            }
            Some(Kind::Link) => bytes = folder.read_link(&name)?.as_encoded_bytes().to_vec(),
            Some(Kind::Folder | Kind::Other) | None => return Ok(None),
        }
        Ok(Some(bytes))
    };
    let cannot = || format!("can't read {}", path.display());
    Ok([read(&origin).with_context(cannot)?, read(&copy.tree_path()).with_context(cannot)?])
}
