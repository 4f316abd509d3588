//! A copy of a folder that a VM works on, and what the VM has changed in it. The folder itself changes only by [`apply`].
//!
//! ```text
//! folder ─► copy (tree, and how both were: base) ─► VM ─► changes ─► apply ─► folder
//! ```
//!
//! What is in the copy is the VM's, and may change at any time: each name is looked up in an open folder, and no link is
//! followed.

mod apply;
mod base;
mod changes;

pub use apply::{Applied, apply};
pub use changes::{Change, What, changes, contents, shown};

use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::sys::{Dirs, files};
use crate::tree::Folder;
use anyhow::Context;
use base::Base;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const TREE: &str = "tree";

/// One copy, complete or not.
#[derive(Debug, Clone)]
pub struct WorkingCopy(PathBuf);

impl WorkingCopy {
    /// That of `origin`, a folder of the host, for this VM.
    pub fn of(dirs: &Dirs, name: &VmName, origin: &Path) -> Self {
        let digest = blake3::hash(origin.as_os_str().as_encoded_bytes()).to_hex();
        Self(dirs.working_copies_path(name).join(&digest[..16]))
    }

    /// The complete ones of a VM, in the order of their folders.
    pub fn all(dirs: &Dirs, name: &VmName) -> Vec<Self> {
        let entries = fs::read_dir(dirs.working_copies_path(name)).into_iter().flatten().flatten();
        let mut all: Vec<_> =
            entries.map(|entry| Self(entry.path())).filter_map(|copy| Some((copy.origin()?, copy))).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.into_iter().map(|(_, copy)| copy).collect()
    }

    /// What the VM gets.
    pub fn tree_path(&self) -> PathBuf {
        self.0.join(TREE)
    }

    /// The folder that it is a copy of; None if it is not complete.
    pub fn origin(&self) -> Option<PathBuf> {
        Base::load(&self.0).ok().map(|base| base.origin)
    }

    /// Makes the copy, unless it has changes: then it stays as it is. Returns how many.
    ///
    /// # Errors
    /// A file can't be copied, or there is no space.
    pub fn prepare(&self, origin: &Path) -> Result<usize> {
        let unapplied = if self.origin().is_some() { changes(self)?.len() } else { 0 };
        if unapplied == 0 {
            self.remove()?;
            files::create_private(&self.0)?;
            files::create_private(&self.tree_path())?;
            let cannot = || format!("can't copy {}", origin.display());
            self.make(origin).with_context(cannot).map_err(|e| {
                let _ = self.remove();
                Error::caused(Kind::Failed, e, "share it without :copy, or free space and try again")
            })?;
        }
        Ok(unapplied)
    }

    fn make(&self, origin: &Path) -> anyhow::Result<()> {
        let (from, to) = (Folder::open(origin)?, Folder::open(&self.tree_path())?);
        let mut base = Base { origin: origin.to_owned(), ..Base::default() };
        base.copy(&from, &to, Path::new(""))?;
        if let Some(itself) = from.look(OsStr::new("."))? {
            to.finish(itself.mode, itself.modified)?;
        }
        base.save(&self.0)
    }

    /// # Errors
    /// A file can't be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(anyhow::Error::new(e).context(format!("can't remove {}", self.0.display())).into())
            }
            _ => {
                // The folder of a VM without any more copies.
                let _ = self.0.parent().map(fs::remove_dir);
                Ok(())
            }
        }
    }
}

/// Removes the copies without changes, and returns a sentence for each of the others.
pub fn leave(dirs: &Dirs, name: &VmName) -> Vec<String> {
    let mut sentences = Vec::new();
    for copy in WorkingCopy::all(dirs, name) {
        let Some(origin) = copy.origin() else { continue };
        match changes(&copy).map(|changes| changes.len()) {
            Ok(0) => drop(copy.remove()),
            Ok(count) => sentences.push(format!(
                "{} in the copy of {}: see them with `virtualghost diff {name}`, bring them here with `virtualghost apply {name}`",
                counted(count),
                origin.display()
            )),
            Err(e) => sentences.push(format!("the copy of {} stays: {:#}", origin.display(), e.cause)),
        }
    }
    sentences
}

/// `1 change`, `2 changes`.
pub fn counted(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

#[cfg(all(test, unix))]
mod tests;
