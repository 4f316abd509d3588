//! Unix: the positions of a file's data, and whether a file is executable. Shared with `build.rs`.

use nix::errno::Errno;
use nix::libc;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

/// The first byte at or after `from` that may not be zero, by lseek(2) with SEEK_DATA; None if the rest is a hole. An
/// image of many GiB is mostly holes: reading them would take seconds.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    let from = from.try_into().map_err(io::Error::other)?;
    // SAFETY: numbers, and the descriptor of an open file. (nix's lseek does not know SEEK_DATA on macOS.)
    match Errno::result(unsafe { libc::lseek(file.as_raw_fd(), from, libc::SEEK_DATA) }) {
        Ok(data) => Ok(Some(data as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

pub fn is_program(file: &Metadata) -> bool {
    file.permissions().mode() & 0o111 != 0
}
