//! Linux: sync_file_range(2).

use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Has the kernel begin to bring these bytes of `file` to the disk, and does not wait: of itself it would not begin before
/// somebody waits for all of them. Whether it went well is for the sync at the end to say.
pub fn begin(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: numbers, and the descriptor of an open file. (nix does not know the call.)
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
