//! Windows: named pipes, with arguments like QEMU's (`pipe,id=console,path=NAME`). Like QEMU, it makes each pipe and waits
//! until a client has opened it, before the next (chardev/char-pipe.c).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use windows_sys::Win32::Foundation::{ERROR_PIPE_CONNECTED, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::PIPE_ACCESS_DUPLEX;
use windows_sys::Win32::System::Pipes::{ConnectNamedPipe, CreateNamedPipeW};

/// Removes the arguments that name the pipes: they are not steps.
pub fn channels(args: &mut Vec<OsString>) -> (File, File) {
    let [console, control] = ["console", "control"].map(|id| {
        let start = format!("pipe,id={id},path=");
        let at = args.iter().position(|arg| arg.to_string_lossy().starts_with(&start)).expect("it is named");
        let word = args.remove(at).into_string().expect("a name is text");
        pipe(&word[start.len()..])
    });
    (console, control)
}

fn pipe(name: &str) -> File {
    const BUFFER: u32 = 2048;
    let path: Vec<u16> = format!(r"\\.\pipe\{name}").encode_utf16().chain([0]).collect();
    // SAFETY: the path ends with a NUL; the handle is new and ours.
    unsafe {
        let handle =
            CreateNamedPipeW(path.as_ptr(), PIPE_ACCESS_DUPLEX, 0, 1, BUFFER, BUFFER, 0, std::ptr::null());
        assert!(handle != INVALID_HANDLE_VALUE, "{}", io::Error::last_os_error());
        let is_connected = ConnectNamedPipe(handle, std::ptr::null_mut()) != 0
            || io::Error::last_os_error().raw_os_error() == Some(ERROR_PIPE_CONNECTED as i32);
        assert!(is_connected, "{}", io::Error::last_os_error());
        File::from_raw_handle(handle)
    }
}

/// There is none.
pub fn ignore_sigterm() {}

pub fn close_stdout() {
    // SAFETY: what is written to it from now on is lost, as it is meant to be.
    drop(unsafe { File::from_raw_handle(io::stdout().as_raw_handle()) });
}
