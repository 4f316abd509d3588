//! The stream of a copy: whatever a guest sends is written below the target folder and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use virtualghost::tree::{Observer, Target, unpack};

struct Silent;

impl Observer for Silent {
    fn problem(&mut self, _: &Path, _: &dyn Display) {}
    fn progress(&mut self, _: &Path, _: u64) {}
}

fuzz_target!(|input: &[u8]| {
    let lab = tempfile::tempdir().unwrap();
    let (target, outside) = (lab.path().join("target"), lab.path().join("outside"));
    fs::create_dir(&target).unwrap();
    fs::write(&outside, "old").unwrap();
    let _ = unpack(input, Target::new(&target, true).unwrap(), &mut Silent);
    assert_eq!(fs::read(&outside).unwrap(), b"old");
    assert_eq!(fs::read_dir(lab.path()).unwrap().count(), 2, "something was written beside the target");
});
