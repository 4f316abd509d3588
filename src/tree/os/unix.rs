//! Unix: every name is looked up relative to an open folder (openat(2)), and no link is followed.

use crate::tree::{Kind, Metadata, since_1970};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct Folder(OwnedFd);

const OPEN_FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Follows links: this is a path that the user named.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(nix::fcntl::open(path, OPEN_FOLDER, Mode::empty())?))
    }

    pub fn enter(&self, name: &OsStr) -> io::Result<Self> {
        match openat(&self.0, name, OPEN_FOLDER | OFlag::O_NOFOLLOW, Mode::empty()) {
            // What Linux and macOS return for a link.
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                Err(io::Error::other("it is a link or a file, not a folder"))
            }
            opened => Ok(Self(opened?)),
        }
    }

    /// What has this name, if anything does.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Metadata>> {
        let found = match fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(None),
            found => found?,
        };
        let kind = match found.st_mode & nix::libc::S_IFMT {
            nix::libc::S_IFREG => Kind::File,
            nix::libc::S_IFDIR => Kind::Folder,
            nix::libc::S_IFLNK => Kind::Link,
            _ => Kind::Other,
        };
        let since_1970 = |seconds: i64, nanoseconds: i64| {
            UNIX_EPOCH
                + Duration::from_secs(seconds.try_into().unwrap_or_default())
                + Duration::from_nanos(nanoseconds.try_into().unwrap_or_default())
        };
        Ok(Some(Metadata {
            kind,
            mode: i64::from(found.st_mode & 0o777) as u32,
            modified: since_1970(found.st_mtime, found.st_mtime_nsec),
            changed: since_1970(found.st_ctime, found.st_ctime_nsec),
            size: found.st_size.try_into().unwrap_or_default(),
        }))
    }

    /// In order, so that a copy is the same each time.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        // A descriptor of its own: reading moves its position.
        let own = openat(&self.0, ".", OPEN_FOLDER, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(own)?.iter() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// For reading. A pipe that took the file's place meanwhile does not block.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file any more")) }
    }

    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(readlinkat(&self.0, name)?)
    }

    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.0, name, Mode::S_IRWXU)?)
    }

    /// A new file for writing, which nobody else can open.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.0, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
    }

    pub fn make_link(&self, target: &OsStr, name: &OsStr, modified: SystemTime) -> io::Result<()> {
        symlinkat(target, &self.0, name)?;
        let time = time(modified);
        Ok(utimensat(&self.0, name, &time, &time, UtimensatFlags::NoFollowSymlink)?)
    }

    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// An empty one.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Sets what a folder gets when everything is in it.
    pub fn finish(&self, mode: u32, modified: SystemTime) -> io::Result<()> {
        set(&self.0, mode, modified)
    }
}

/// Sets what a file gets when it is complete.
pub fn finish(file: &File, mode: u32, modified: SystemTime) -> io::Result<()> {
    set(file, mode, modified)
}

/// No set-user-id, set-group-id or sticky bit ever.
fn set(file: impl AsFd, mode: u32, modified: SystemTime) -> io::Result<()> {
    fchmod(&file, Mode::from_bits_truncate((mode & 0o777) as nix::libc::mode_t))?;
    let time = time(modified);
    Ok(futimens(&file, &time, &time)?)
}

fn time(modified: SystemTime) -> TimeSpec {
    let since = since_1970(modified);
    TimeSpec::seconds(since.as_secs().try_into().unwrap_or(i64::MAX))
        + TimeSpec::nanoseconds(since.subsec_nanos().into())
}

/// A name of the stream: any bytes.
pub fn name_of(bytes: &[u8]) -> io::Result<Cow<'_, OsStr>> {
    Ok(Cow::Borrowed(OsStr::from_bytes(bytes)))
}

/// What a link of the stream points to.
pub fn name_of_target(bytes: &[u8]) -> io::Result<Cow<'_, OsStr>> {
    name_of(bytes)
}

/// A name for the stream.
pub fn os_bytes(name: &OsStr) -> io::Result<&[u8]> {
    Ok(name.as_bytes())
}
