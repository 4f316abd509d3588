use std::fs::{File, Metadata};
use std::io;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// A profile's folders and what is made in them are the user's alone by inheritance.
pub fn keep_private() {}

pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Nobody's but the profile's owner's, by inheritance.
pub fn stranger(_: &Metadata) -> Option<String> {
    None
}

pub fn set_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A new file for reading and writing; the user's alone by inheritance.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
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
