//! Windows: the cache lies in the user's profile, whose access list keeps others out; there are no mode bits.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub fn distrust(_folder: &Metadata) -> Option<String> {
    None
}

/// Nothing: a file with the read-only attribute could not be removed later.
pub fn seal(_file: &File, _executable: bool) -> io::Result<()> {
    Ok(())
}

pub fn mode(_file: &Metadata) -> u32 {
    0
}

/// Nothing: NTFS journals its folders, and a folder can't be opened for that.
pub fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub fn disk_usage(file: &Metadata) -> u64 {
    file.len()
}
