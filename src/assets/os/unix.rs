//! Unix: permissions, owners, allocated blocks.

use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Why a folder of the cache is not to be trusted, if it isn't: somebody else could change what is in it.
pub fn distrust(folder: &Metadata) -> Option<String> {
    let user = nix::unistd::geteuid().as_raw();
    if folder.uid() != user {
        Some(format!("it belongs to user {}, not to you (user {user})", folder.uid()))
    } else if folder.mode() & 0o022 != 0 {
        Some(format!("other users may write to it (mode {:o})", folder.mode() & 0o777))
    } else {
        None
    }
}

/// Takes away every right to write.
pub fn seal(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(if executable { 0o500 } else { 0o400 }))
}

/// A folder that many entries are looked at in: none of the looks walks down from the root again, which would be most of
/// its time.
pub struct Folder(File);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?))
    }

    /// What is said of the file at `path` from here, in a line: type and mode, bytes, and when its content was changed
    /// last, in nanoseconds since 1970. A link is not looked behind.
    pub fn look(&self, path: &Path) -> io::Result<String> {
        let found = fstatat(&self.0, path, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let changed = i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec);
        Ok(format!("{:o} {} {changed}", found.st_mode, found.st_size))
    }
}

/// Writes a folder's entries to the disk.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What the file takes on the disk: holes don't count.
pub fn disk_usage(file: &Metadata) -> u64 {
    file.blocks() * 512
}
