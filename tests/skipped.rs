//! Counts the tests that this machine cannot run, so that none of them passes silently. scripts/skipped.sh is the same
//! for scripts, and prints the count.

use std::fs::File;
use std::io::{Write, stderr};

/// Prints `SKIPPED: NAME: REASON` to standard error, and appends the line to the file that `VIRTUALGHOST_SKIPPED` names,
/// if it is set. The test returns after it.
pub fn skipped(name: &str, reason: &str) {
    let line = format!("SKIPPED: {name}: {reason}\n");
    // Not `eprint!`: the test harness keeps that back for a test that passes.
    stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("VIRTUALGHOST_SKIPPED") {
        // One write, so that the lines of tests that run at the same time do not mix.
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("VIRTUALGHOST_SKIPPED names a file to append to");
    }
}
