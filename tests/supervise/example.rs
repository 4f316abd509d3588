//! The paths of the example programs that tests run.

use std::path::{Path, PathBuf};

/// Cargo builds the examples with the tests, beside the folder of this program.
pub fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "{} is missing: `cargo test` or `cargo build --examples` makes it",
        path.display()
    );
    path
}
