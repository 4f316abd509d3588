//! Unix: where a file has data, and whether it is a program. Shared with `build.rs`.

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;

/// The first byte at or after `from` that may be other than zero, as lseek(2) with SEEK_DATA tells; nothing if
/// the rest is a hole. An image of many GiB is mostly holes: reading them would take seconds.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match lseek(file, from.try_into().map_err(io::Error::other)?, Whence::SeekData) {
        Ok(data) => Ok(Some(data as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub fn is_program(file: &Metadata) -> bool {
    file.permissions().mode() & 0o111 != 0
}
