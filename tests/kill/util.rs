//! Files of a lab, and waiting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Copies with times, modes and holes, which the cache's integrity check compares.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Waits until `read` returns something.
pub fn eventually<T>(what: &str, limit: Duration, mut read: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = read() {
            return found;
        }
        assert!(Instant::now() < until, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Calls `each` for everything below `folder`.
pub fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        each(&entry.path(), &meta);
        if meta.is_dir() {
            walk(&entry.path(), each);
        }
    }
}

/// The digest of each file below `folder`, by its relative path.
pub fn digests(folder: &Path) -> BTreeMap<PathBuf, blake3::Hash> {
    let mut found = BTreeMap::new();
    walk(folder, &mut |path, meta| {
        if meta.is_file() {
            let digest = blake3::hash(&fs::read(path).unwrap());
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), digest);
        }
    });
    found
}
