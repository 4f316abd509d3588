use super::*;
use std::os::windows::fs::OpenOptionsExt;

/// Opens it without sharing, as an antivirus does.
fn hold(path: &Path) -> File {
    File::options().read(true).share_mode(0).open(path).unwrap()
}

#[test]
fn a_rename_waits_for_who_holds_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("new"), folder.path().join("text"));
    for held in [&from, &to] {
        std::fs::write(&from, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        let holder = hold(held);
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(holder);
        });
        rename(&from, &to).unwrap();
        release.join().unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "new");
    }
}

#[test]
fn a_rename_that_is_not_possible_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    assert!(rename(&folder.path().join("none"), &folder.path().join("text")).is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_path_that_qemu_can_not_open_is_replaced_by_its_short_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    assert_eq!(qemu_safe_path(plain.clone()).unwrap(), plain);
    let path = folder.path().join("Jürgen 日本").join("x".repeat(120)).join("y".repeat(120));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("disk.img"), "here").unwrap();
    let narrow = qemu_safe_path(path).unwrap();
    assert!(narrow.as_os_str().is_ascii() && narrow.as_os_str().len() < 200, "{}", narrow.display());
    assert_eq!(std::fs::read_to_string(narrow.join("disk.img")).unwrap(), "here");
}

#[test]
fn a_name_beyond_260_characters_and_ascii_is_a_name_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let deep = ["Jürgen 日本", &"x".repeat(120), &"y".repeat(120)]
        .iter()
        .fold(folder.path().to_owned(), |path, name| path.join(name));
    assert!(deep.as_os_str().len() > 260);
    crate::sys::files::create_private(&deep).unwrap();
    let path = deep.join("text");
    crate::sys::files::replace(&path, b"1", &deep.join("new")).unwrap();
    crate::sys::files::replace(&path, b"2", &deep.join("new")).unwrap();
    make_sparse(&File::options().write(true).open(&path).unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
}
