//! A full disk.

use super::super::error::PayloadError;
use super::*;
use crate::testing::process;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

/// Runs `part` with a disk of so many mebibytes as the lab's cache.
fn on_small_disk(mebibytes: u32, part: &str) {
    let lab = Lab::new();
    lab.payload();
    let part = format!("payload::tests::disk::{part}");
    process::on_small_disk(&format!("{mebibytes}m"), lab.folder.path(), "cache", &part);
}

fn installation(progress: &dyn Progress) -> Result<Installed> {
    let folder = process::lab();
    let manifest = fs::read(folder.join("payload/manifest.json")).unwrap();
    let blob = |name: &str| fs::read(folder.join("payload").join(name)).ok().map(Into::into);
    let payload = Payload::new(&manifest, blob).unwrap();
    install(&payload, &folder.join("cache"), &"test".parse().unwrap(), progress)
}

/// The error of an installation that found or made the disk full, and that it left nothing.
fn refusal(progress: &dyn Progress) -> PayloadError {
    let error = installation(progress).unwrap_err();
    assert_eq!(fs::read_dir(process::lab().join("cache/assets")).unwrap().count(), 0, "something is left");
    assert!(error.hint().unwrap().contains("virtualghost clean"));
    error
}

#[test]
fn a_small_disk_is_refused_before_anything_is_written() {
    on_small_disk(40, "refused_before");
}

#[test]
#[ignore = "a part of a_small_disk_is_refused_before_anything_is_written"]
fn refused_before() {
    struct Never;
    impl Progress for Never {
        fn plan(&self, _: u64) {
            panic!("extraction began");
        }
        fn advance(&self, _: u64) {}
        fn waiting(&self, _: &str) {}
        fn done(&self) {}
    }
    let text = refusal(&Never).to_string();
    assert!(text.ends_with("cache/assets: 90 MiB needed, 40 MiB free"), "{text}");
}

#[test]
fn a_disk_that_fills_up_leaves_no_incomplete_version() {
    on_small_disk(120, "refused_meanwhile");
}

#[test]
#[ignore = "a part of a_disk_that_fills_up_leaves_no_incomplete_version"]
fn refused_meanwhile() {
    struct Rival;
    impl Progress for Rival {
        fn plan(&self, _: u64) {
            let _ = fs::write(process::lab().join("cache/rival"), vec![1; 115 << 20]);
        }
        fn advance(&self, _: u64) {}
        fn waiting(&self, _: &str) {}
        fn done(&self) {}
    }
    let error = refusal(&Rival);
    assert!(matches!(error, PayloadError::DiskFull { .. }), "{error}");
}

#[test]
fn leftovers_are_removed_before_the_space_of_an_installation_is_checked() {
    on_small_disk(120, "accepted_after_removal");
}

#[test]
#[ignore = "a part of leftovers_are_removed_before_the_space_of_an_installation_is_checked"]
fn accepted_after_removal() {
    let versions = process::lab().join("cache/assets");
    let left = versions.join(format!(".{}.1.partial", "0".repeat(20)));
    DirBuilder::new().recursive(true).mode(0o700).create(&left).unwrap();
    fs::write(left.join("rootfs.img"), vec![1; 60 << 20]).unwrap();
    installation(&Silent).unwrap();
}
