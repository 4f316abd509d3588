//! Windows: there is no signal for another console's process, so each launcher waits for an event of its own.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use windows_sys::Win32::Foundation::{FILETIME, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    CreateEventW, EVENT_MODIFY_STATE, GetProcessTimes, INFINITE, OpenEventW, OpenProcess,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, SetEvent, TerminateProcess,
    WaitForSingleObject,
};

/// In units of 100 ns since 1601 (FILETIME). One that has ended can be opened for as long as anybody has a handle to it.
pub fn started(pid: u32) -> Option<u64> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE).ok()?;
    // SAFETY: the handle is open.
    let runs = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == WAIT_TIMEOUT;
    creation(&process).filter(|_| runs)
}

pub fn ask_to_stop(pid: u32, since: u64) -> io::Result<()> {
    if started(pid) != Some(since) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the name ends with a NUL.
    let event = owned(unsafe { OpenEventW(EVENT_MODIFY_STATE, 0, event_name(pid).as_ptr()) })?;
    // SAFETY: the handle is open.
    checked(unsafe { SetEvent(event.as_raw_handle()) })
}

pub fn kill(pid: u32, since: u64) -> io::Result<()> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE)?;
    if creation(&process) != Some(since) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the handle is open.
    checked(unsafe { TerminateProcess(process.as_raw_handle(), 1) })
}

/// Calls `raise` each time another process asks this one to stop.
pub fn allow_stop_requests(raise: impl Fn() + Send + 'static) {
    // SAFETY: no attributes, automatic reset, not set, and a name that ends with a NUL.
    let event = unsafe { CreateEventW(std::ptr::null(), 0, 0, event_name(std::process::id()).as_ptr()) };
    let Ok(event) = owned(event) else { return tracing::warn!("`virtualghost stop` will not reach this VM") };
    std::thread::spawn(move || {
        // SAFETY: the handle is open for as long as this thread runs.
        while unsafe { WaitForSingleObject(event.as_raw_handle(), INFINITE) } == WAIT_OBJECT_0 {
            raise();
        }
    });
}

fn event_name(pid: u32) -> Vec<u16> {
    format!("Local\\virtualghost-stop-{pid}").encode_utf16().chain([0]).collect()
}

fn open(pid: u32, rights: u32) -> io::Result<OwnedHandle> {
    // SAFETY: numbers only.
    owned(unsafe { OpenProcess(rights, 0, pid) })
}

fn creation(process: &OwnedHandle) -> Option<u64> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [creation, exit, kernel, user] = &mut times;
    // SAFETY: the handle is open, and each pointer is to a FILETIME.
    checked(unsafe { GetProcessTimes(process.as_raw_handle(), creation, exit, kernel, user) }).ok()?;
    Some((u64::from(creation.dwHighDateTime) << 32) | u64::from(creation.dwLowDateTime))
}

fn owned(handle: *mut std::ffi::c_void) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new handle, which nobody else closes.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn checked(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
