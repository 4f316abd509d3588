//! Which folders of the host a VM gets, and where: each one is there, can be there in the guest, and is not one that a guest
//! should have.

use super::MOST;
use crate::error::{Error, Kind, Result};
use crate::model::{GuestPath, Share, ShareAccess, SharedFolder};
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// What no guest gets without `--share-anyway`.
pub struct Protected {
    /// The user's home folders. `~` is the first.
    pub homes: Vec<PathBuf>,
    /// Where this program keeps VMs, settings and the like.
    pub own: Vec<PathBuf>,
}

/// The folders of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub shares: Vec<SharedFolder>,
    /// Where the terminal opens.
    pub workdir: Option<GuestPath>,
}

/// Names in a home folder where programs keep keys, passwords and logins.
const KEYS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".password-store",
    ".config/gcloud",
    ".config/gh",
    ".config/op",
    ".config/sops",
    ".config/rclone",
    ".config/chromium",
    ".config/google-chrome",
    ".config/BraveSoftware",
    ".mozilla",
    ".thunderbird",
    ".local/share/keyrings",
    "Library/Keychains",
];

/// Folders without files of a user.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev", "/run"];

/// `workdir`: a folder that is shared too, and where the terminal opens. `anyway`: also what is protected.
///
/// # Errors
/// A folder is missing, is protected, or can't be in the guest where it is to be.
pub fn find(shares: &[Share], workdir: Option<&Path>, protected: &Protected, anyway: bool) -> Result<Found> {
    let mut found = Found::default();
    for share in shares {
        let folder = one(share, protected, anyway)?;
        add(&mut found.shares, folder)?;
    }
    if let Some(workdir) = workdir {
        let share = Share { folder: workdir.to_owned(), access: ShareAccess::Write, place: None };
        let folder = one(&share, protected, anyway)?;
        let set = found.shares.iter().find(|other| other.folder == folder.folder);
        let place = set.unwrap_or(&folder).place.clone();
        if set.is_none() {
            add(&mut found.shares, folder)?;
        }
        found.workdir = Some(place);
    }
    if found.shares.len() > MOST {
        return Err(Error::bad_input(format!("a VM has at most {MOST} shares, not {}", found.shares.len()))
            .hint("share a folder that contains several of them"));
    }
    Ok(found)
}

fn one(share: &Share, protected: &Protected, anyway: bool) -> Result<SharedFolder> {
    let written = match (share.folder.strip_prefix("~"), protected.homes.first()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => std::path::absolute(&share.folder)
            .with_context(|| format!("can't share {}", share.folder.display()))?,
    };
    let shown = written.display();
    let folder = fs::canonicalize(&written).map_err(|e| {
        let cause = anyhow::Error::new(e).context(format!("can't share {shown}"));
        Error::caused(Kind::BadInput, cause, format!("make the folder first: mkdir {shown}"))
    })?;
    if !folder.is_dir() {
        let parent = written.parent().unwrap_or(&written).display();
        return Err(Error::bad_input(format!("can't share {shown}: it is no folder"))
            .hint(format!("share the folder that it is in: {parent}")));
    }
    if let Some(because) = reason(&folder, protected).filter(|_| !anyway) {
        return Err(Error::bad_input(format!("{shown} is not shared: {because}"))
            .hint("share a folder that has only what the VM is to have, or use --share-anyway"));
    }
    let place = match &share.place {
        Some(place) => place.clone(),
        // `..` after a link is elsewhere than the path reads.
        None => GuestPath::new(written.as_os_str())
            .or_else(|_| GuestPath::new(folder.as_os_str()))
            .map_err(|e| elsewhere(&shown, &e))?,
    };
    if let Some(used) = place.obstacle() {
        let what = format!("it can't be {place} in the VM, where {used} is the VM's own");
        return Err(elsewhere(&shown, &what));
    }
    Ok(SharedFolder { folder, access: share.access, place })
}

fn elsewhere(shown: &impl std::fmt::Display, because: &impl std::fmt::Display) -> Error {
    Error::bad_input(format!("can't share {shown}: {because}"))
        .hint(format!("name another path in the VM: --share {shown}=/mnt/NAME"))
}

fn add(shares: &mut Vec<SharedFolder>, share: SharedFolder) -> Result<()> {
    if let Some(other) =
        shares.iter().find(|other| share.place.is_in(&other.place) || other.place.is_in(&share.place))
    {
        let (one, two) = (other.folder.display(), share.folder.display());
        let (at, there) = (&other.place, &share.place);
        let what = if at == there {
            format!("{one} and {two} can't both be {at} in the VM")
        } else {
            format!("in the VM, {there} ({two}) and {at} ({one}) are one in the other")
        };
        return Err(Error::bad_input(what)
            .hint(format!("share one of them, or name another path in the VM: --share {two}=/mnt/NAME")));
    }
    shares.push(share);
    Ok(())
}

/// Why a guest should not have this folder.
fn reason(folder: &Path, protected: &Protected) -> Option<String> {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    if folder.parent().is_none() {
        return Some("it has all files of this machine".to_owned());
    }
    let homes: Vec<_> = protected.homes.iter().filter_map(|home| canonical(home)).collect();
    if let Some(home) = homes.iter().find(|home| home.starts_with(folder)) {
        let is_home = home == folder;
        return Some(if is_home {
            "it is your home folder".to_owned()
        } else {
            with("your home folder", home)
        });
    }
    let keys = homes.iter().flat_map(|home| KEYS.iter().map(|name| home.join(name)));
    let keys = keys.map(|path| ("keys or passwords", path));
    let own = protected.own.iter().map(|path| ("files of virtualghost itself", path.clone()));
    let system = SYSTEM.iter().map(|path| ("files of the system", PathBuf::from(path)));
    keys.chain(own).chain(system).find_map(|(what, path)| {
        let path = canonical(&path)?;
        if folder.starts_with(&path) {
            Some(format!("{} has {what}", path.display()))
        } else {
            path.starts_with(folder).then(|| with(what, &path))
        }
    })
}

fn with(what: &str, path: &Path) -> String {
    format!("it contains {what}: {}", path.display())
}

#[cfg(all(test, unix))]
mod tests;
