use super::Folders;
use crate::error::{Error, Kind, Result};
use directories::BaseDirs;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::GetShortPathNameW;
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// What the user's folders are found by.
pub const HOME: &str = "LOCALAPPDATA";

/// Where the environment says, else the Known Folders of the same names. The configuration goes with the user to other
/// machines; the rest is of this one.
pub fn folders() -> Option<Folders> {
    let known = BaseDirs::new();
    let folder = |variable, known_path: fn(&BaseDirs) -> &Path| {
        let said = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let found = said.or_else(|| known.as_ref().map(|known| known_path(known).to_owned()));
        found.map(|path| path.join("virtualghost"))
    };
    let local = folder(HOME, BaseDirs::data_local_dir)?;
    let data = local.join("data");
    Some(Folders {
        cache: local.join("cache"),
        config: folder("APPDATA", BaseDirs::config_dir)?.join("config"),
        state: data.clone(),
        data,
    })
}

/// A profile's folders and what is made in them are the user's alone by inheritance.
pub fn keep_private() {}

pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Nobody's but the profile's owner's, by inheritance.
pub fn stranger(_: &Metadata) -> Option<String> {
    None
}

pub fn set_private(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A new file for reading and writing; the user's alone by inheritance.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

/// What an antivirus looks at as soon as it is written can't be renamed, nor replaced, until it has seen it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let until = Instant::now() + PATIENCE;
    loop {
        match std::fs::rename(from, to) {
            Err(e) if is_in_use(&e) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20))
            }
            done => return done,
        }
    }
}

fn is_in_use(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(|code| code as u32);
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION))
}

/// A path as any program takes it: QEMU knows no characters beyond the system's code page and no more than 260 of them.
/// What has others is called by its short names (8.3); what is not there yet has none.
///
/// # Errors
/// It has none: a volume can do without.
pub fn narrow(path: PathBuf) -> Result<PathBuf> {
    const MAX_PATH: usize = 260;
    // Room for what is added to a folder's.
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
        .hint("let LOCALAPPDATA name a folder with a short, plain name; so do files of your own need one")
    })
}

/// Asked for by the prefix with which the system takes a path of any length, and given without.
fn short_name(path: &Path) -> io::Result<PathBuf> {
    const ANY_LENGTH: &str = r"\\?\";
    let path = std::path::absolute(path)?;
    // Of a share, or prefixed already.
    let prefix = if path.as_os_str().as_encoded_bytes().starts_with(br"\\") { "" } else { ANY_LENGTH };
    let long: Vec<u16> = prefix.encode_utf16().chain(path.as_os_str().encode_wide()).chain([0]).collect();
    let mut short = vec![0; long.len()];
    // SAFETY: the first ends with a NUL, and the second is as long as is told. A short name is not the longer one.
    let length = unsafe { GetShortPathNameW(long.as_ptr(), short.as_mut_ptr(), short.len() as u32) } as usize;
    if length == 0 || length >= short.len() {
        return Err(io::Error::last_os_error());
    }
    let short = PathBuf::from(OsString::from_wide(&short[..length]));
    Ok(short.to_str().and_then(|text| text.strip_prefix(ANY_LENGTH)).map(PathBuf::from).unwrap_or(short))
}

/// NTFS gives a file its whole length on the disk unless it is told otherwise.
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

/// What a file may take on the disk at most.
pub fn bytes_on_disk(file: &Metadata) -> u64 {
    file.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::windows::fs::OpenOptionsExt;

    /// As an antivirus holds it, who shares nothing.
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
    fn a_rename_that_can_not_be_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        assert!(rename(&folder.path().join("none"), &folder.path().join("text")).is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn what_qemu_could_not_open_has_a_short_name() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        assert_eq!(narrow(plain.clone()).unwrap(), plain);
        let path = folder.path().join("Jürgen 日本").join("x".repeat(120)).join("y".repeat(120));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("disk.img"), "here").unwrap();
        let narrow = narrow(path).unwrap();
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
        crate::folders::create_private(&deep).unwrap();
        let path = deep.join("text");
        crate::folders::replace(&path, b"1", &deep.join("new")).unwrap();
        crate::folders::replace(&path, b"2", &deep.join("new")).unwrap();
        make_sparse(&File::options().write(true).open(&path).unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
    }
}
