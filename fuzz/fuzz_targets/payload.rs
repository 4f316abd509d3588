//! Any manifest and blob, also damaged ones: installed as the manifest describes, or refused. Nothing is written outside
//! the cache, and neither numbers nor frames make it large.
//!
//! The input is the manifest, a NUL, and the blob, the same for all three components.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::{Component, Path};
use virtualghost::payload::{Progress, fuzzing, install};

struct Silent;

impl Progress for Silent {
    fn plan(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn waiting(&self, _: &str) {}
    fn done(&self) {}
}

/// Deeper than the `..` of an input are likely to go, so that whatever they create is found and removed.
const CACHE: &str = "a/b/c/cache";

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|&b| b == 0) else { return };
    let Ok(payload) = fuzzing::payload(&input[..end], &input[end + 1..]) else { return };
    // Before anything is written: a file at an absolute path would not be found.
    for path in fuzzing::paths(&payload) {
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    }

    let outer = tempfile::tempdir().expect("a temporary folder");
    let cache = outer.path().join(CACHE);
    let installed = install(&payload, &cache, &Default::default(), &Silent);
    let mut folder = outer.path().to_owned();
    for part in Path::new(CACHE) {
        folder.push(part);
        let entries = fs::read_dir(folder.parent().expect("we pushed to it")).expect("it was made");
        assert_eq!(entries.count(), 1, "something was created beside {}", folder.display());
    }
    if let Ok(installed) = installed {
        let qemu = installed.paths.qemu;
        for path in [installed.paths.kernel, installed.paths.rootfs, qemu.program, qemu.modules, qemu.data] {
            let inside =
                path.starts_with(&cache) && !path.components().any(|part| part == Component::ParentDir);
            assert!(inside, "{path:?}");
        }
        let damaged = payload.damaged_files(&cache).expect("it was installed");
        assert!(damaged.is_empty(), "not as packed: {damaged:?}");
    }
});
