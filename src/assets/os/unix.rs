//! Unix: permissions, owners, allocated blocks.

use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Makes `path`, and what is missing above it, for the user alone.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

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

pub fn mode(file: &Metadata) -> u32 {
    file.mode()
}

/// Writes a folder's entries to the disk.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What the file takes on the disk: holes don't count.
pub fn disk_usage(file: &Metadata) -> u64 {
    file.blocks() * 512
}
