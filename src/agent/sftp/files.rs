//! What SFTP asks of the file system, beyond what the standard library has by the same name.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, ReadDir};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::libc;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, User, fchown, fchownat};

use super::wire::Attributes;

pub enum Handle {
    File(File),
    Folder(Folder),
}

/// Opens as SFTP's flags say; a new file gets `permissions`, less the umask.
pub fn open(path: &Path, flags: u32, permissions: Option<u32>) -> io::Result<File> {
    let has = |bit: u32| flags & bit != 0;
    let mut options = match (has(1), has(2)) {
        (true, true) => OFlag::O_RDWR,
        (false, true) => OFlag::O_WRONLY,
        _ => OFlag::O_RDONLY,
    };
    options.set(OFlag::O_APPEND, has(4));
    options.set(OFlag::O_CREAT, has(8));
    options.set(OFlag::O_TRUNC, has(16));
    options.set(OFlag::O_EXCL, has(32));
    let mode = mode(permissions.unwrap_or(0o666));
    Ok(File::from(nix::fcntl::open(path, options | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, mode)?))
}

/// The entries of a folder, with `.` and `..`, as readdir(3) gives them.
pub struct Folder {
    path: PathBuf,
    dots: std::slice::Iter<'static, &'static str>,
    entries: ReadDir,
}

pub fn list(path: &Path) -> io::Result<Folder> {
    Ok(Folder { path: path.to_owned(), dots: [".", ".."].iter(), entries: std::fs::read_dir(path)? })
}

impl Iterator for Folder {
    type Item = io::Result<(OsString, Metadata)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let name = match self.dots.next() {
                Some(dots) => OsString::from(dots),
                None => match self.entries.next()? {
                    Ok(entry) => entry.file_name(),
                    Err(error) => return Some(Err(error)),
                },
            };
            // What has gone in the meantime is no longer there to be listed.
            if let Ok(metadata) = std::fs::symlink_metadata(self.path.join(&name)) {
                return Some(Ok((name, metadata)));
            }
        }
    }
}

pub fn attributes(found: &Metadata) -> Attributes {
    // Version 3 has unsigned 32 bits for a time.
    let time = |seconds: i64| seconds.clamp(0, u32::MAX.into()) as u32;
    Attributes {
        size: Some(found.size()),
        owner: Some((found.uid(), found.gid())),
        permissions: Some(found.mode()),
        times: Some((time(found.atime()), time(found.mtime()))),
    }
}

pub fn set(path: &Path, wanted: &Attributes, follow: bool) -> io::Result<()> {
    if let Some(size) = wanted.size {
        nix::unistd::truncate(path, size.try_into().map_err(|_| Errno::EINVAL)?)?;
    }
    if let Some(permissions) = wanted.permissions {
        let follow = if follow { FchmodatFlags::FollowSymlink } else { FchmodatFlags::NoFollowSymlink };
        fchmodat(AT_FDCWD, path, mode(permissions), follow)?;
    }
    if let Some((accessed, modified)) = wanted.times {
        let follow = if follow { UtimensatFlags::FollowSymlink } else { UtimensatFlags::NoFollowSymlink };
        utimensat(AT_FDCWD, path, &time(accessed), &time(modified), follow)?;
    }
    if let Some((uid, gid)) = wanted.owner {
        let flags =
            if follow { nix::fcntl::AtFlags::empty() } else { nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW };
        fchownat(AT_FDCWD, path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)?;
    }
    Ok(())
}

pub fn set_open(file: &File, wanted: &Attributes) -> io::Result<()> {
    if let Some(size) = wanted.size {
        file.set_len(size)?;
    }
    if let Some(permissions) = wanted.permissions {
        fchmod(file.as_fd(), mode(permissions))?;
    }
    if let Some((accessed, modified)) = wanted.times {
        futimens(file, &time(accessed), &time(modified))?;
    }
    if let Some((uid, gid)) = wanted.owner {
        fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}

pub fn make_dir(path: &Path, permissions: Option<u32>) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(permissions.unwrap_or(0o777) & 0o7777).create(path)
}

/// Renames, unless there is something by the new name.
pub fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_no_replace(from, to) {
        // A file system that can't do both at once.
        Err(Errno::EINVAL) if std::fs::symlink_metadata(to).is_err() => std::fs::rename(from, to),
        Err(Errno::EINVAL) => Err(Errno::EEXIST.into()),
        other => Ok(other?),
    }
}

/// renameat2(2), by its number: musl has no function for it.
fn rename_no_replace(from: &Path, to: &Path) -> nix::Result<()> {
    let at = libc::AT_FDCWD;
    let renamed = from.with_nix_path(|from| {
        to.with_nix_path(|to| {
            // SAFETY: both are strings that live as long as the call.
            unsafe {
                libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), libc::RENAME_NOREPLACE)
            }
        })
    })??;
    Errno::result(renamed).map(drop)
}

/// The absolute path without links and dots; of what does not exist yet, its folder must exist.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.file_name()) {
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(folder.canonicalize()?.join(name))
        }
        (found, _) => found,
    }
}

/// `~` and `~NAME` at the start of a path, as a shell would read them.
pub fn expand(path: &Path) -> io::Result<PathBuf> {
    let Some(rest) = path.as_os_str().as_bytes().strip_prefix(b"~") else {
        return Ok(path.to_owned());
    };
    let (user, rest) = match rest.iter().position(|&b| b == b'/') {
        Some(slash) => (&rest[..slash], &rest[slash + 1..]),
        None => (rest, &b""[..]),
    };
    let home = if user.is_empty() {
        std::env::var_os("HOME").map(PathBuf::from)
    } else {
        str::from_utf8(user).ok().and_then(|name| User::from_name(name).ok()?).map(|user| user.dir)
    };
    Ok(home.ok_or(io::ErrorKind::NotFound)?.join(OsStr::from_bytes(rest)))
}

fn mode(permissions: u32) -> Mode {
    Mode::from_bits_truncate(permissions & 0o7777)
}

fn time(seconds: u32) -> TimeSpec {
    TimeSpec::new(seconds.into(), 0)
}
