//! Windows: every byte may be data, every file may be executable. Shared with `build.rs`.

use std::fs::{File, Metadata};
use std::io;

pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    Ok((from < file.metadata()?.len()).then_some(from))
}

pub fn is_program(_file: &Metadata) -> bool {
    true
}
