//! Trees that come out as they went in, and streams that try to write elsewhere.

use super::*;
use nix::sys::stat::{Mode, utimensat};
use nix::unistd::mkfifo;
use proptest::prelude::*;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

#[derive(Default)]
struct Seen(Vec<String>);

impl Observer for Seen {
    fn problem(&mut self, path: &Path, because: &dyn Display) {
        self.0.push(format!("{}: {because}", path.display()));
    }

    fn progress(&mut self, _: &Path, _: u64) {}
}

fn packed(paths: &[PathBuf]) -> (Vec<u8>, Vec<String>) {
    let (mut stream, mut seen) = (Vec::new(), Seen::default());
    pack(paths, &mut stream, &mut seen).unwrap();
    (stream, seen.0)
}

fn unpacked(stream: &[u8], target: &Path) -> (std::io::Result<()>, Vec<String>) {
    let mut seen = Seen::default();
    let done = unpack(stream, Target::new(target, true).unwrap(), &mut seen);
    (done, seen.0)
}

/// From one path to another, without a problem.
fn copied(from: &Path, to: &Path) {
    let (stream, problems) = packed(&[from.to_owned()]);
    assert_eq!(problems, [] as [&str; 0]);
    let (done, problems) = unpacked(&stream, to);
    done.unwrap();
    assert_eq!(problems, [] as [&str; 0]);
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = nix::sys::time::TimeSpec::new(seconds, nanoseconds);
    utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, nix::sys::stat::UtimensatFlags::NoFollowSymlink)
        .unwrap();
}

/// Every name below a folder, with what it is.
fn listing(folder: &Path) -> Vec<(OsString, String)> {
    let mut all = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(folder.join(&below)).unwrap() {
            let path = below.join(entry.unwrap().file_name());
            let found = fs::symlink_metadata(folder.join(&path)).unwrap();
            let what = if found.is_symlink() {
                format!("{:?}", fs::read_link(folder.join(&path)).unwrap())
            } else if found.is_dir() {
                open.push(path.clone());
                "folder".to_owned()
            } else {
                format!("{:?}", blake(&fs::read(folder.join(&path)).unwrap()))
            };
            let (mode, time) = (found.mode() & 0o777, (found.mtime(), found.mtime_nsec()));
            all.push((path.into_os_string(), format!("{what} {mode:o} {time:?}")));
        }
    }
    all.sort();
    all
}

/// A digest of any kind.
fn blake(bytes: &[u8]) -> (usize, u64) {
    (bytes.len(), bytes.iter().fold(7, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())))
}

#[test]
fn names_links_modes_and_times_arrive_as_they_are() {
    let (from, to) = (folder(), folder());
    let tree = from.path().join("tree");
    let long = "n".repeat(200);
    for name in [&b"-rf"[..], b"new\nline", b"*?[a]", b"\\back", b"no text \xff\xfe", b" ", long.as_bytes()] {
        let inner = tree.join(OsStr::from_bytes(name));
        fs::create_dir_all(&inner).unwrap();
        let file = inner.join(OsStr::from_bytes(name));
        fs::write(&file, name.repeat(1000)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        set_time(&file, 1_000_000_001, 123_456_789);
    }
    for (target, name) in [
        ("-rf", "to a folder"),
        ("./-rf//-rf", "to a file"),
        ("nowhere", "dangling"),
        ("/etc/passwd", "absolute"),
        ("../../..", "up"),
        (&format!("{long}/{long}"), "long"),
    ] {
        symlink(target, tree.join(name)).unwrap();
        set_time(&tree.join(name), 1_000_000_002, 0);
    }
    fs::create_dir(tree.join("closed")).unwrap();
    fs::set_permissions(tree.join("closed"), Permissions::from_mode(0o500)).unwrap();
    set_time(&tree, 1_000_000_003, 5);
    copied(&tree, to.path());
    assert_eq!(listing(from.path()), listing(to.path()));
}

#[test]
fn a_target_is_a_folder_or_a_new_name_and_a_folder_merges() {
    let (from, to) = (folder(), folder());
    fs::create_dir(from.path().join("tree")).unwrap();
    fs::write(from.path().join("tree/file"), "1").unwrap();
    copied(&from.path().join("tree"), &to.path().join("new"));
    copied(&from.path().join("tree/."), &to.path().join("contents"));
    copied(&from.path().join("tree/file"), &to.path().join("renamed"));
    for path in ["new/file", "contents/file", "renamed"] {
        assert_eq!(fs::read(to.path().join(path)).unwrap(), b"1", "{path}");
    }
    fs::write(from.path().join("tree/file"), "2").unwrap();
    fs::write(to.path().join("new/other"), "kept").unwrap();
    copied(&from.path().join("tree/."), &to.path().join("new"));
    assert_eq!(fs::read(to.path().join("new/file")).unwrap(), b"2");
    assert_eq!(fs::read(to.path().join("new/other")).unwrap(), b"kept");
    // A file can't get the name of a folder, nor a name in a folder that is not there.
    let (stream, _) = packed(&[from.path().join("tree/file")]);
    let (_, problems) = unpacked(&stream, &to.path().join("nothing/"));
    assert_eq!(problems.len(), 1);
    assert!(Target::new(&to.path().join("no/thing"), true).is_err());
    assert!(Target::new(&to.path().join("nothing"), false).is_err(), "several sources need a folder");
}

#[test]
fn links_that_the_user_names_are_followed_only_with_a_slash() {
    let (from, to) = (folder(), folder());
    fs::create_dir(from.path().join("real")).unwrap();
    symlink("real", from.path().join("link")).unwrap();
    copied(&from.path().join("link"), to.path());
    assert!(fs::symlink_metadata(to.path().join("link")).unwrap().is_symlink());
    fs::remove_file(to.path().join("link")).unwrap();
    copied(&from.path().join("link/"), to.path());
    assert!(fs::symlink_metadata(to.path().join("link")).unwrap().is_dir());
    // The target may be reached through one.
    symlink(to.path(), from.path().join("target")).unwrap();
    copied(&from.path().join("real"), &from.path().join("target"));
    assert!(to.path().join("real").is_dir());
}

#[test]
fn what_can_not_be_copied_is_reported_and_the_rest_is_copied() {
    let (from, to) = (folder(), folder());
    mkfifo(&from.path().join("pipe"), Mode::S_IRWXU).unwrap();
    fs::write(from.path().join("file"), "x").unwrap();
    let (stream, problems) = packed(&[from.path().join("absent"), from.path().join(".")]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    fs::create_dir_all(to.path().join("file")).unwrap();
    let (done, problems) = unpacked(&stream, to.path());
    done.unwrap();
    assert_eq!(problems, ["file: there is a folder of that name"]);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn zeros_take_no_space() {
    let (from, to) = (folder(), folder());
    let path = from.path().join("file");
    File::create(&path).unwrap().set_len(64 << 20).unwrap();
    copied(&path, to.path());
    let found = fs::metadata(to.path().join("file")).unwrap();
    assert_eq!((found.len(), found.blocks() < 1000), (64 << 20, true));
}

/// A stream as a hostile guest may write it.
struct Stream(Builder<Vec<u8>>);

impl Stream {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o6777);
        header.set_mtime(1);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

#[test]
fn nothing_is_written_outside_the_target_whatever_the_stream_holds() {
    let all = folder();
    let (outside, target) = (all.path().join("outside"), all.path().join("target"));
    for folder in [&outside, &target] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(outside.join("file"), "untouched").unwrap();
    // Links that the user has in the target already.
    symlink("../outside", target.join("there")).unwrap();
    symlink("../outside/file", target.join("to-file")).unwrap();
    symlink("../outside/new", target.join("to-nothing")).unwrap();
    let before = listing(&outside);
    let out = outside.display().to_string();
    let stream = Stream::new()
        .add(EntryType::Regular, "../outside/up", "", b"x")
        .add(EntryType::Regular, "a/../../outside/up", "", b"x")
        .add(EntryType::Regular, &format!("{out}/absolute"), "", b"x")
        .add(EntryType::Regular, "there/through", "", b"x")
        .add(EntryType::Directory, "there", "", b"")
        .add(EntryType::Directory, "there/folder", "", b"")
        .add(EntryType::Regular, "to-file", "", b"x")
        .add(EntryType::Regular, "to-nothing", "", b"x")
        .add(EntryType::Symlink, "link", &out, b"")
        .add(EntryType::Regular, "link/through", "", b"x")
        .add(EntryType::Symlink, "link/through", "/", b"")
        .add(EntryType::Directory, "folder", "", b"")
        .add(EntryType::Symlink, "folder", &out, b"")
        .add(EntryType::Regular, "folder/inside", "", b"x")
        .add(EntryType::Link, "hard", "../outside/file", b"")
        .add(EntryType::Link, "hard", &format!("{out}/file"), b"")
        .add(EntryType::Char, "device", "", b"")
        .add(EntryType::Fifo, "pipe", "", b"")
        .add(EntryType::GNUSparse, "sparse", "", b"")
        .finish();
    let (done, problems) = unpacked(&stream, &target);
    done.unwrap();
    assert_eq!(listing(&outside), before, "{problems:?}");
    // A link in the place of a file was replaced; nothing was written through it.
    assert_eq!(fs::read(target.join("to-file")).unwrap(), b"x");
    assert!(!fs::symlink_metadata(target.join("to-file")).unwrap().is_symlink());
    assert_eq!(fs::read(target.join("folder/inside")).unwrap(), b"x");
    assert_eq!(fs::read_link(target.join("link")).unwrap(), outside);
    // No file runs with another user's rights.
    assert_eq!(fs::metadata(target.join("to-file")).unwrap().mode() & 0o7777, 0o777);
    assert_eq!(problems.len(), 14, "{problems:#?}");
}

#[test]
fn a_name_of_any_length_takes_no_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = std::io::repeat(b'x');
    let target = folder();
    let stream = std::io::Read::chain(&header.as_bytes()[..], endless);
    let done = unpack(stream, Target::new(target.path(), true).unwrap(), &mut Seen::default());
    assert_eq!(done.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_stream_that_ends_early_is_an_error_and_leaves_no_part_of_a_file() {
    let (from, to) = (folder(), folder());
    fs::write(from.path().join("file"), vec![7; 100_000]).unwrap();
    let (stream, _) = packed(&[from.path().join("file")]);
    let (done, _) = unpacked(&stream[..50_000], to.path());
    assert!(done.is_err());
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

proptest! {
    #[test]
    fn no_stream_makes_the_reader_panic(bytes: Vec<u8>, name in "[a./]{0,20}", kind in 0u8..=128) {
        let target = folder();
        let stream = Stream::new().add(EntryType::new(kind), &name, &name, &bytes).finish();
        let _ = unpacked(&stream, target.path());
        let _ = unpacked(&bytes, target.path());
    }
}
