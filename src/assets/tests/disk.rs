//! A full disk: a tmpfs in a user namespace of its own, so no root is needed.

use super::super::error::AssetError;
use super::*;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

/// Runs the test `part` with a tmpfs of so many MiB mounted as the lab's cache; not where namespaces are forbidden.
fn on_small_disk(mebibytes: u32, part: &str) {
    let lab = Lab::new();
    lab.payload();
    fs::create_dir(lab.cache()).unwrap();
    let mount = format!("mount -t tmpfs -o mode=700,size={mebibytes}m none '{}'", lab.cache().display());
    let unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
    let can = Command::new(unshare[0]).args(&unshare[1..]).arg(&mount).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this system lets nobody mount a tmpfs in a namespace");
        return;
    }
    let script = format!("{mount} && exec \"$@\"");
    let prefix = [&unshare[..], &[&script, "sh"]].concat();
    let name = format!("assets::tests::disk::{part}");
    assert!(in_process(&prefix, &name, lab.folder.path()).wait().unwrap().success());
}

fn installation(progress: &dyn Progress) -> Result<Installed> {
    let folder = given_lab();
    let manifest = fs::read(folder.join("payload/manifest.json")).unwrap();
    let blob = |name: &str| fs::read(folder.join("payload").join(name)).ok().map(Into::into);
    let payload = Payload::new(&manifest, blob).unwrap();
    install(&payload, &folder.join("cache"), &"test".parse().unwrap(), progress)
}

/// The error of an installation that found or made the disk full, and that it left nothing.
fn refusal(progress: &dyn Progress) -> AssetError {
    let error = installation(progress).unwrap_err();
    assert_eq!(fs::read_dir(given_lab().join("cache/assets")).unwrap().count(), 0, "something is left");
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
fn a_disk_that_fills_up_meanwhile_leaves_nothing_half_done() {
    on_small_disk(120, "refused_meanwhile");
}

#[test]
#[ignore = "a part of a_disk_that_fills_up_meanwhile_leaves_nothing_half_done"]
fn refused_meanwhile() {
    struct Rival;
    impl Progress for Rival {
        fn plan(&self, _: u64) {
            let _ = fs::write(given_lab().join("cache/rival"), vec![1; 115 << 20]);
        }
        fn advance(&self, _: u64) {}
        fn waiting(&self, _: &str) {}
        fn done(&self) {}
    }
    let error = refusal(&Rival);
    assert!(matches!(error, AssetError::DiskFull { .. }), "{error}");
}

#[test]
fn what_an_interrupted_installation_left_makes_room_for_the_next() {
    on_small_disk(120, "accepted_after_removal");
}

#[test]
#[ignore = "a part of what_an_interrupted_installation_left_makes_room_for_the_next"]
fn accepted_after_removal() {
    let versions = given_lab().join("cache/assets");
    let left = versions.join(format!(".{}.1.partial", "0".repeat(20)));
    DirBuilder::new().recursive(true).mode(0o700).create(&left).unwrap();
    fs::write(left.join("rootfs.img"), vec![1; 60 << 20]).unwrap();
    installation(&Silent).unwrap();
}
