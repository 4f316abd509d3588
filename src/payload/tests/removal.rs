//! What a VM uses stays; all else goes.

use super::super::gc::{clean, list};
use super::super::lease::User;
use super::*;
use crate::testing::process;
use std::fs::File;
use std::time::{Duration, Instant};

fn cleaned(lab: &Lab) -> (usize, usize) {
    let done = clean(&lab.cache(), &Silent).unwrap();
    (done.removed.len(), done.kept.len())
}

#[test]
fn the_next_installation_removes_an_old_version_unless_it_is_used() {
    let lab = Lab::new();
    let (one, two, three) = (lab.version("1"), lab.version("2"), lab.version("3"));
    let running = lab.install(&one).unwrap();
    lab.install(&two).unwrap();
    assert_eq!(lab.versions().len(), 2, "the first is in use");
    drop(running);
    lab.install(&three).unwrap();
    assert_eq!(lab.versions(), [three.digest()]);
}

#[test]
fn clean_keeps_a_version_in_use_and_names_the_vm() {
    let lab = Lab::new();
    let (one, two) = (lab.version("1"), lab.version("2"));
    let running = lab.install(&one).unwrap();
    lab.install(&two).unwrap();
    fs::create_dir(lab.cache().join(format!("assets/.{}.1.removed", one.digest()))).unwrap();
    File::create(lab.cache().join("assets/mine")).unwrap();

    let listed = list(&lab.cache()).unwrap();
    assert_eq!(listed.iter().filter(|entry| entry.leftover).count(), 1);
    assert!(listed.iter().all(|entry| entry.leftover || entry.bytes > 12_000), "{listed:?}");
    assert!(listed.iter().all(|entry| entry.bytes < 20 << 20), "holes are counted: {listed:?}");

    let done = clean(&lab.cache(), &Silent).unwrap();
    assert_eq!(done.removed.len(), 2);
    assert_eq!(done.kept[0].users, [User { name: "test".into(), pid: std::process::id() }]);
    assert_eq!(done.kept[0].path.file_name().unwrap(), one.digest());
    lab.assert_intact(&one);
    assert_eq!(lab.versions(), [one.digest(), "mine"], "a digest sorts before m");
    drop(running);
    assert_eq!(cleaned(&lab), (1, 0));
    assert_eq!(lab.versions(), ["mine"]);
}

#[test]
fn a_missing_cache_is_clean_and_is_not_created() {
    let lab = Lab::new();
    assert_eq!(cleaned(&lab), (0, 0));
    assert!(list(&lab.cache()).unwrap().is_empty());
    assert!(!lab.cache().exists());
}

#[test]
fn a_killed_vm_blocks_nothing() {
    let lab = Lab::new();
    let payload = lab.payload();
    drop(lab.install(&payload).unwrap());
    let name = "payload::tests::removal::hold_a_lease_until_killed";
    let mut child = process::in_process(&[], name, lab.folder.path());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lab.path("held").exists() {
        assert!(Instant::now() < deadline, "the other process created no lease");
        std::thread::sleep(Duration::from_millis(10));
    }
    let users = list(&lab.cache()).unwrap().remove(0).users;
    assert_eq!(users, [User { name: "child".into(), pid: child.id() }]);
    assert_eq!(cleaned(&lab), (0, 1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(lab.cache().join("leases")).unwrap().count(), 1, "a stale lease is left");
    assert_eq!(cleaned(&lab), (1, 0));
    assert_eq!(fs::read_dir(lab.cache().join("leases")).unwrap().count(), 0);
}

#[test]
#[ignore = "a part of a_killed_vm_blocks_nothing"]
fn hold_a_lease_until_killed() {
    let folder = process::lab();
    let manifest = fs::read(folder.join("payload/manifest.json")).unwrap();
    let payload = Payload::new(&manifest, |_| None).unwrap();
    let _installed = install(&payload, &folder.join("cache"), &"child".parse().unwrap(), &Silent).unwrap();
    fs::write(folder.join("held"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}
