//! A file as the user's own kernel: has it a PVH entry? Whatever its headers contain, little of it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use virtualghost::payload::kernel::has_pvh_entry;

fuzz_target!(|input: &[u8]| {
    // The entry is a note with Xen's name.
    assert!(!has_pvh_entry(Cursor::new(input)) || input.windows(3).any(|bytes| bytes == b"Xen"));
});
