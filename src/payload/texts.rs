//! The errors about the payload, its cache, and the user's own files.

use super::*;
use crate::error::Error;
use crate::model::Arch;
use crate::testing::{Texts, assert_texts};
use std::io;
use std::path::Path;

#[test]
fn errors_with_their_hints() {
    let path = || "/c/virtualghost".into();
    let io = |kind: io::ErrorKind| PayloadError::Io { action: "make", path: path(), source: kind.into() };
    let mut texts = Texts::default();
    for error in [
        PayloadError::NothingEmbedded,
        PayloadError::DamagedPayload { what: "kernel/vmlinux in it, at byte 0: wrong digest".to_owned() },
        PayloadError::NoSpace { path: path(), needed: 600 << 20, free: 100 << 20 },
        PayloadError::DiskFull { path: path(), needed: 600 << 20 },
        PayloadError::Untrusted { path: path(), because: "it is a link or a file".to_owned() },
        PayloadError::Disturbed { path: path() },
        io(io::ErrorKind::ReadOnlyFilesystem),
        io(io::ErrorKind::NotFound),
    ] {
        let about = format!("{error:?}");
        texts.add(about.split([' ', '{']).next().unwrap(), Error::from(error));
    }
    assert_texts!("errors", texts);
}

/// Nothing, compressed with gzip.
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";

#[test]
fn files_of_the_users_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[(usize, &[u8])]| {
        let mut content = vec![0; 4096];
        bytes.iter().for_each(|(at, bytes)| content[*at..*at + bytes.len()].copy_from_slice(bytes));
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let (zeros, missing) = (file("zeros", &[]), folder.path().join("missing"));
    let image = file("Image", &[(56, b"ARM\x64")]);
    let ext4 = file("ext4", &[(1024 + 4, &[9]), (1024 + 0x18, &[2]), (1024 + 0x38, b"\x53\xef")]);
    let squashfs = file("squashfs", &[(0, b"hsqs"), (41, &[0xff])]);
    let elf = file("vmlinux", &[(0, b"\x7fELF")]);
    let mut texts = Texts::default();
    let mut add = |about: &str, result: anyhow::Result<()>| {
        let text = format!("{:#}", result.unwrap_err());
        texts.add(about, text.replace(&folder.path().display().to_string(), "[FOLDER]"));
    };
    let x86_64 = |path: &Path| kernel::check(path, Arch::X86_64, false).map(|_| ());
    add("a kernel that is not there", x86_64(&missing));
    add("a folder for a kernel", x86_64(folder.path()));
    add("no kernel", x86_64(&zeros));
    add("a kernel without a PVH entry", x86_64(&elf));
    add("a kernel for aarch64", x86_64(&image));
    add("no kernel for aarch64", kernel::check(&zeros, Arch::Aarch64, false).map(|_| ()));
    let modular = file(
        "vmlinuz",
        &[(0x1f1, b"\x02"), (0x1fe, b"\x55\xaaaaHdrS\x0f\x02"), (0x249, b"\x02\0\0\x40"), (2048, GZIP)],
    );
    add("a kernel whose drivers are modules", x86_64(&modular));
    add("a disk with partitions", validate::check_rootfs(&file("disk", &[(512, b"EFI PART")])));
    add("no root filesystem", validate::check_rootfs(&zeros));
    add("a root filesystem that is cut short", validate::check_rootfs(&ext4));
    add("no squashfs", validate::check_squashfs(&zeros));
    add("a squashfs that is cut short", validate::check_squashfs(&squashfs));
    add("a QEMU that is not there", validate::check_program(&missing));
    assert_texts!("own-files", texts);
}

/// As in the cache's folder and in others of the user's.
#[cfg(unix)]
#[test]
fn folders_that_are_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut texts = Texts::default();
    texts.add(
        "a folder that others may write to",
        crate::sys::files::check_ownership(&folder.path().metadata().unwrap()).unwrap(),
    );
    assert_texts!("folders", texts);
}
