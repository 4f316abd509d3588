//! Damage in the cache is found at the start and mended; nothing of it is ever used.

use super::super::error::PayloadError;
use super::*;
use crate::testing::skipped;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

/// Opens a sealed file for writing, as root can and others after a chmod.
fn writable(path: &Path) -> File {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
    file
}

fn times(path: &Path) -> fs::FileTimes {
    fs::FileTimes::new().set_modified(path.metadata().unwrap().modified().unwrap())
}

#[test]
fn a_changed_cache_is_detected_and_unpacked_again() {
    let lab = Lab::new();
    let payload = lab.payload();
    let paths = lab.install(&payload).unwrap().paths;
    let stamp = lab.cache().join("assets").join(payload.digest()).join("stamp");
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let damages: [(&str, &dyn Fn()); 9] = [
        ("truncated", &|| writable(&paths.rootfs).set_len(1 << 20).unwrap()),
        ("truncated by a copy that keeps times", &|| {
            let before = times(&paths.kernel);
            let file = writable(&paths.kernel);
            file.set_len(1).unwrap();
            file.set_times(before).unwrap();
        }),
        ("overwritten", &|| writable(&paths.kernel).write_all(b"other").unwrap()),
        ("missing", &|| remove(&paths.qemu.modules.join("ui.so"))),
        ("not executable", &|| {
            fs::set_permissions(&paths.qemu.program, fs::Permissions::from_mode(0o400)).unwrap();
        }),
        ("a link", &|| {
            fs::rename(&paths.kernel, lab.path("elsewhere")).unwrap();
            symlink(lab.path("elsewhere"), &paths.kernel).unwrap();
        }),
        ("no stamp", &|| remove(&stamp)),
        ("a garbled stamp", &|| fs::write(&stamp, b"\xff\x00").unwrap()),
        ("no folder", &|| {
            let version = stamp.parent().unwrap();
            fs::remove_dir_all(version).unwrap();
            fs::write(version, b"a file").unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        assert!(!payload.is_installed(&lab.cache()), "{what}");
        lab.install(&payload).unwrap();
        lab.assert_intact(&payload);
        assert_eq!(lab.versions(), [payload.digest()], "{what}");
    }
}

#[test]
fn an_intact_cache_is_not_written_again() {
    let lab = Lab::new();
    let payload = lab.payload();
    let kernel = lab.install(&payload).unwrap().paths.kernel;
    let before = kernel.metadata().unwrap().modified().unwrap();
    lab.install(&payload).unwrap();
    assert_eq!(kernel.metadata().unwrap().modified().unwrap(), before);
}

#[test]
fn an_incomplete_version_is_never_used_and_is_removed() {
    let lab = Lab::new();
    let payload = lab.payload();
    let partial = lab.cache().join(format!("assets/.{}.1.partial/kernel", payload.digest()));
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("vmlinux"), b"half").unwrap();
    fs::create_dir_all(lab.cache().join("assets/.mine.partial")).unwrap();
    assert!(!payload.is_installed(&lab.cache()));
    lab.install(&payload).unwrap();
    lab.assert_intact(&payload);
    assert_eq!(lab.versions(), [".mine.partial", payload.digest()], "only what is ours is removed");
}

#[test]
fn a_repair_of_a_version_in_use_closes_no_file() {
    let lab = Lab::new();
    let payload = lab.payload();
    let running = lab.install(&payload).unwrap();
    let mut open = File::open(&running.paths.rootfs).unwrap();
    fs::remove_file(&running.paths.kernel).unwrap();
    lab.install(&payload).unwrap();
    lab.assert_intact(&payload);
    let mut start = [0; DATA.len()];
    open.read_exact(&mut start).unwrap();
    assert_eq!(start, DATA.as_bytes());
}

#[test]
fn the_full_check_finds_damage_below_the_file_system() {
    let lab = Lab::new();
    let payload = lab.payload();
    let paths = lab.install(&payload).unwrap().paths;
    for (path, at) in [(&paths.rootfs, 5 << 20), (&paths.rootfs, 17 << 20), (&paths.qemu.program, 3)] {
        let before = times(path);
        let mut byte = [0];
        let mut reader = File::open(path).unwrap();
        reader.seek(SeekFrom::Start(at)).unwrap();
        reader.read_exact(&mut byte).unwrap();
        let mode = path.metadata().unwrap().permissions();
        let mut file = writable(path);
        file.set_permissions(mode).unwrap();
        let mut put = |byte: u8| {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[byte]).unwrap();
            file.set_times(before).unwrap();
        };
        put(byte[0] ^ 1);
        assert!(payload.is_installed(&lab.cache()), "no stat can show this");
        assert_eq!(payload.damaged_files(&lab.cache()).unwrap(), std::slice::from_ref(path));
        put(byte[0]);
    }
    lab.assert_intact(&payload);
}

#[test]
fn the_check_whether_it_is_installed_writes_nothing() {
    let lab = Lab::new();
    assert!(!lab.payload().is_installed(&lab.cache()));
    assert!(!lab.cache().exists());
}

/// The error of an installation into a cache that another user could change.
fn untrusted(lab: &Lab) -> String {
    let error = lab.install(&lab.payload()).unwrap_err();
    assert!(matches!(error, PayloadError::Untrusted { .. }), "{error}");
    assert!(error.hint().unwrap().contains("XDG_CACHE_HOME"));
    error.to_string()
}

#[test]
fn a_cache_that_others_could_change_is_refused() {
    let names = |lab: &Lab, path: &Path| untrusted(lab).contains(path.to_str().unwrap());
    for link in ["cache", "cache/assets", "cache/leases"] {
        let lab = Lab::new();
        let path = lab.path(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir(lab.path("elsewhere")).unwrap();
        symlink(lab.path("elsewhere"), &path).unwrap();
        assert!(names(&lab, &path));
        assert_eq!(fs::read_dir(lab.path("elsewhere")).unwrap().count(), 0);
        fs::remove_dir(lab.path("elsewhere")).unwrap();
        assert!(names(&lab, &path), "a dangling one");
    }
    let lab = Lab::new();
    fs::create_dir(lab.cache()).unwrap();
    fs::set_permissions(lab.cache(), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(untrusted(&lab).contains("770"));
}

#[test]
fn a_cache_of_another_user_is_refused() {
    let lab = Lab::new();
    fs::create_dir(lab.cache()).unwrap();
    fs::set_permissions(lab.cache(), fs::Permissions::from_mode(0o700)).unwrap();
    if std::os::unix::fs::chown(lab.cache(), Some(54321), None).is_err() {
        return skipped("a cache of another user", "only root can give a file to another user");
    }
    assert!(untrusted(&lab).contains("user 54321"));
}
