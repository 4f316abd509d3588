//! Brings what a VM has changed in a copy into the folder. A file that was changed there too stays, and the VM's is written
//! beside it.

use super::base::{Base, Entry, copy_file};
use super::changes::{has_changed, parent};
use super::{Change, What, WorkingCopy};
use crate::error::Result;
use crate::model::units::VmName;
use crate::sys::ProcessId;
use crate::tree::{Folder, Kind, Metadata};
use anyhow::Context;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the name of an unfinished file begins with; the process and a number follow.
const UNFINISHED: &str = ".virtualghost-";

/// What has become of changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub count: usize,
    /// The VM's versions of files that were changed in the folder, too.
    pub beside: Vec<PathBuf>,
    /// With the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// Applies these changes. Each is complete or not begun, whenever this process is killed.
///
/// # Errors
/// The copy or its folder can't be read. A change that fails is in the result.
pub fn apply(copy: &WorkingCopy, name: &VmName, changes: &[Change]) -> Result<Applied> {
    let mut base = Base::load(&copy.0)?;
    let tree = Folder::open(&copy.tree_path()).context("can't read the copy")?;
    let origin =
        Folder::open(&base.origin).with_context(|| format!("can't write to {}", base.origin.display()))?;
    // What is in a folder goes before it, and comes after it.
    let is_removal = |change: &&Change| change.what == What::Removed;
    let removals = changes.iter().filter(is_removal).rev();
    let rest = changes.iter().filter(|change| !is_removal(change));
    let (mut applied, mut cleaned) = (Applied::default(), BTreeSet::new());
    for change in removals.chain(rest) {
        let path = &change.path;
        let done = match change.what {
            What::Removed => remove(&mut base, &origin, path).map(|()| None),
            What::Added | What::Changed => write(&mut base, &tree, &origin, path, name, &mut cleaned),
        };
        match done {
            Ok(beside) => applied.beside.extend(beside),
            Err(e) => {
                applied.failed.push((path.clone(), e.to_string()));
                continue;
            }
        }
        applied.count += 1;
    }
    base.save(&copy.0)?;
    Ok(applied)
}

fn remove(base: &mut Base, origin: &Folder, path: &Path) -> io::Result<()> {
    let entry = base.entries.get(path).copied();
    if let Some((folder, name)) = parent(origin, path)? {
        match folder.look(&name)? {
            // It is kept: it is not what the VM has seen.
            Some(host) if has_changed(entry.as_ref(), Some(&host)) => {}
            Some(Metadata { kind: Kind::Folder, .. }) => match folder.remove_folder(&name) {
                // Something in it is not the VM's to remove.
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => removed?,
            },
            Some(_) => folder.remove(&name)?,
            None => {}
        }
    }
    base.entries.remove(path);
    Ok(())
}

/// Returns where the VM's version is, if not in its place. `cleaned`: the folders that were looked at for unfinished files.
fn write(
    base: &mut Base,
    tree: &Folder,
    origin: &Folder,
    path: &Path,
    vm: &VmName,
    cleaned: &mut BTreeSet<PathBuf>,
) -> io::Result<Option<PathBuf>> {
    let Some((from, name)) = parent(tree, path)? else { return Err(io::ErrorKind::NotFound.into()) };
    let found = from.look(&name)?.ok_or(io::ErrorKind::NotFound)?;
    let to = make_parents(origin, path)?;
    if cleaned.insert(path.parent().unwrap_or(Path::new("")).to_owned()) {
        remove_left(&to)?;
    }
    let host = to.look(&name)?;
    let is_conflict = has_changed(base.entries.get(path), host.as_ref());
    let beside = match (found.kind, host.map(|host| host.kind)) {
        (Kind::Folder, Some(Kind::Folder)) => None,
        (Kind::Folder, None) => {
            to.make_folder(&name)?;
            to.enter(&name)?.finish(found.mode, found.modified)?;
            None
        }
        (Kind::Folder, Some(_)) if is_conflict => {
            return Err(io::Error::other("there is a file in its place"));
        }
        (Kind::Folder, Some(_)) => {
            to.remove(&name)?;
            to.make_folder(&name)?;
            to.enter(&name)?.finish(found.mode, found.modified)?;
            None
        }
        (Kind::Other, _) => return Err(io::Error::other("it is neither a file nor a folder nor a link")),
        (Kind::File | Kind::Link, Some(_)) if is_conflict => {
            let beside = free_name(&to, &name, vm)?;
            place(&from, &name, &found, &to, &beside)?;
            Some(path.with_file_name(beside))
        }
        (Kind::File | Kind::Link, Some(Kind::Folder)) => {
            to.remove_folder(&name)?;
            place(&from, &name, &found, &to, &name)?;
            None
        }
        (Kind::File | Kind::Link, _) => {
            place(&from, &name, &found, &to, &name)?;
            None
        }
    };
    base.entries.insert(path.to_owned(), Entry::new(&found, to.look(&name)?.as_ref()));
    Ok(beside)
}

/// Under another name first, so that there is never half a file.
fn place(from: &Folder, name: &OsStr, found: &Metadata, to: &Folder, as_name: &OsStr) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unfinished = OsString::from(format!("{UNFINISHED}{}-{number}", std::process::id()));
    let made = copy_file(from, name, found, to, &unfinished).and_then(|()| to.rename(&unfinished, as_name));
    made.inspect_err(|_| drop(to.remove(&unfinished)))
}

/// Removes the unfinished files of processes that were killed.
fn remove_left(folder: &Folder) -> io::Result<()> {
    for name in folder.names()? {
        let ids = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)?.split_once('-'));
        let process =
            ids.filter(|(_, number)| number.parse::<u64>().is_ok()).and_then(|(pid, _)| pid.parse().ok());
        if process.is_some_and(|pid| ProcessId::of(pid).is_none()) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

/// The folder that a path is in, made if it is not there any more.
fn make_parents(root: &Folder, path: &Path) -> io::Result<Folder> {
    let mut folder = root.enter(OsStr::new("."))?;
    for name in path.parent().into_iter().flat_map(Path::iter) {
        if folder.look(name)?.is_none() {
            folder.make_folder(name)?;
        }
        folder = folder.enter(name)?;
    }
    Ok(folder)
}

/// `NAME.from-VM`, with a number if that is taken.
fn free_name(folder: &Folder, name: &OsStr, vm: &VmName) -> io::Result<OsString> {
    for number in 1.. {
        let mut free = name.to_owned();
        free.push(if number == 1 { format!(".from-{vm}") } else { format!(".from-{vm}-{number}") });
        if folder.look(&free)?.is_none() {
            return Ok(free);
        }
    }
    unreachable!("a folder has a free name")
}
