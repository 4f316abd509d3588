//! Windows: folders that are private by inheritance, short names, sparse files, events instead of signals, a job object
//! that ends QEMU with the launcher.

mod processes;
mod stop_requests;

pub use super::no_guard::{Guard, guard};
pub use processes::{
    ask_to_stop, die_with_launcher, exit, ignore_passed_on_signals, ignore_stop_signals, is_crash, kill,
    leave_terminal, share, signal_name, started, was_continued,
};
pub use stop_requests::{StopRequests, take_over_stop_requests};

use super::dirs::Dirs;
use crate::error::{Error, Kind, Result};
use directories::BaseDirs;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_TYPE_DISK, FILE_TYPE_PIPE, GetFileType, GetShortPathNameW,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// The environment variable with the folder of the user's data.
pub const HOME: &str = "LOCALAPPDATA";

/// Whether a new process can inherit open files by number.
pub const PASSES_DESCRIPTORS: bool = false;

/// From the environment, else the Known Folders with the same names. The configuration roams with the user's profile; the
/// rest stays on this machine.
pub fn dirs() -> Option<Dirs> {
    let known = BaseDirs::new();
    let folder = |variable, known_path: fn(&BaseDirs) -> &Path| {
        let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let found = set.or_else(|| known.as_ref().map(|known| known_path(known).to_owned()));
        found.map(|path| path.join("virtualghost"))
    };
    let local = folder(HOME, BaseDirs::data_local_dir)?;
    let data = local.join("data");
    Some(Dirs {
        cache: local.join("cache"),
        config: folder("APPDATA", BaseDirs::config_dir)?.join("config"),
        state: data.clone(),
        data,
    })
}

/// The home in which OpenSSH looks for its files.
pub fn home_of_ssh() -> Option<PathBuf> {
    Some(BaseDirs::new()?.home_dir().to_owned())
}

/// Nobody: an administrator's files in a profile are its owner's by inheritance.
pub fn owner_that_root_would_lock_out(_: &Path) -> Option<String> {
    None
}

/// Nothing to do: the profile's folders and everything in them are private by inheritance.
pub fn restrict_umask() {}

pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Never: folders in the profile belong to its owner by inheritance.
pub fn foreign_owner(_: &Metadata) -> Option<String> {
    None
}

pub fn set_private(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A new file for reading and writing; private by inheritance.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

/// A file that an antivirus scans after it is written can't be renamed or replaced until the scan is over.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    const LIMIT: Duration = Duration::from_secs(10);
    let until = Instant::now() + LIMIT;
    loop {
        match std::fs::rename(from, to) {
            Err(e) if is_in_use(&e) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn is_in_use(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(|code| code as u32);
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION))
}

/// A path that QEMU can open: QEMU handles only characters of the system's code page, and 260 of them at most. Other paths
/// are replaced by their short names (8.3), which only existing files have.
///
/// # Errors
/// The path has no short name: some volumes have none.
pub fn qemu_safe_path(path: PathBuf) -> Result<PathBuf> {
    const MAX_PATH: usize = 260;
    // For the file names below a folder.
    const ROOM: usize = 60;
    let is_narrow = |path: &Path| path.as_os_str().is_ascii() && path.as_os_str().len() + ROOM < MAX_PATH;
    if is_narrow(&path) || !path.exists() {
        return Ok(path);
    }
    let short = short_name(&path);
    short.ok().filter(|short| is_narrow(short)).ok_or_else(|| {
        Error::new(
            Kind::Failed,
            format!("QEMU can't open {}: the path is too long or not plain ASCII", path.display()),
        )
        .hint("set LOCALAPPDATA to a folder with a short ASCII path; your own files need such paths, too")
    })
}

/// Queried with the prefix that allows a path of any length, and returned without it.
fn short_name(path: &Path) -> io::Result<PathBuf> {
    const ANY_LENGTH: &str = r"\\?\";
    let path = std::path::absolute(path)?;
    // The path of a share, or one with a prefix.
    let prefix = if path.as_os_str().as_encoded_bytes().starts_with(br"\\") { "" } else { ANY_LENGTH };
    let long: Vec<u16> = prefix.encode_utf16().chain(path.as_os_str().encode_wide()).chain([0]).collect();
    let mut short = vec![0; long.len()];
    // SAFETY: the first ends with a NUL, and the length of the second is passed. A short name is never longer.
    let length = unsafe { GetShortPathNameW(long.as_ptr(), short.as_mut_ptr(), short.len() as u32) } as usize;
    if length == 0 || length >= short.len() {
        return Err(io::Error::last_os_error());
    }
    let short = PathBuf::from(OsString::from_wide(&short[..length]));
    Ok(short.to_str().and_then(|text| text.strip_prefix(ANY_LENGTH)).map(PathBuf::from).unwrap_or(short))
}

/// NTFS allocates a file's whole length on the disk unless the file is marked as sparse.
pub fn make_sparse(file: &File) -> io::Result<()> {
    let mut returned = 0;
    // SAFETY: the handle is open; there is no input, no output and no overlapped operation.
    let done = unsafe {
        DeviceIoControl(
            file.as_raw_handle(),
            FSCTL_SET_SPARSE,
            std::ptr::null(),
            0,
            std::ptr::null_mut(),
            0,
            &raw mut returned,
            std::ptr::null_mut(),
        )
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether standard input is a file or a pipe, as for a script; not a console or another device.
pub fn is_stdin_for_a_shell() -> bool {
    // SAFETY: a handle, which may be invalid or null; the kind is then unknown.
    let kind = unsafe { GetFileType(io::stdin().as_raw_handle()) };
    [FILE_TYPE_DISK, FILE_TYPE_PIPE].contains(&kind)
}

/// The most space that a file can use on the disk.
pub fn bytes_on_disk(file: &Metadata) -> u64 {
    file.len()
}

pub fn check_ownership(_folder: &Metadata) -> Option<String> {
    None
}

/// Nothing to do: a file with the read-only attribute could not be removed later.
pub fn seal(_file: &File, _executable: bool) -> io::Result<()> {
    Ok(())
}

/// A folder for many metadata queries.
pub struct Folder(PathBuf);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    /// The metadata of the file at the relative `path` as one line: zero for the mode, size, and the time of the last change
    /// in nanoseconds since 1970. Links are not followed.
    pub fn look(&self, path: &Path) -> io::Result<String> {
        let found = self.0.join(path).symlink_metadata()?;
        let changed = found.modified()?.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        Ok(format!("0 {} {}", found.len(), changed.as_nanos()))
    }
}

/// Nothing to do: NTFS journals its folders, and a folder can't be opened for a sync.
pub fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Always: on Windows an open file can't be removed or replaced.
pub fn is_named(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Nothing to do: the final sync writes all of it.
pub fn start_writeback(_file: &File, _offset: u64, _length: u64) {}

#[cfg(test)]
mod tests;
