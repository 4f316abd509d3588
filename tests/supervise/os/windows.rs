//! Windows: processes by handle, channels by name.

use std::ffi::OsString;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::sync::atomic::{AtomicU32, Ordering};
use virtualghost::qemu::{Agent, Channel, Channels, KeySource};
use windows_sys::Win32::Foundation::{INVALID_HANDLE_VALUE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Console::{CTRL_C_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessHandleCount, OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

/// The exception of an abort in Rust: STATUS_STACK_BUFFER_OVERRUN.
pub const CRASH: &str = "exception 0xC0000409";

/// Whether the system or wine adds this variable to every process.
pub fn is_added(name: &str) -> bool {
    ["SystemDrive", "SystemRoot"].contains(&name) || name.starts_with("WINE")
}

/// The channels of a new QEMU, and the arguments that name them to the fake one.
pub fn channels() -> (Channels, Vec<OsString>) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = |id| format!("virtualghost-test-{}-{number}-{id}", std::process::id());
    let words = ["console", "control"].map(|id| format!("pipe,id={id},path={}", name(id)).into());
    let [console, control] = ["console", "control"].map(|id| Channel::Pipe(name(id)));
    (
        Channels {
            console,
            control,
            network: None,
            agent: Agent::Loopback,
            keys: KeySource::Files,
            keyboard: None,
            shares: None,
        },
        words.into(),
    )
}

/// Requests a stop of every process on this console, like Ctrl-C.
pub fn request_stop() {
    // SAFETY: numbers only.
    assert!(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) } != 0);
}

/// Whether the process has ended. It waits a moment, because a killed process does not end immediately.
pub fn is_gone(pid: u32) -> bool {
    const MOMENT: u32 = 1000;
    // SAFETY: numbers only; the handle is new and ours.
    unsafe {
        let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, pid);
        process.is_null()
            || WaitForSingleObject(OwnedHandle::from_raw_handle(process).as_raw_handle(), MOMENT)
                == WAIT_OBJECT_0
    }
}

/// The number of this process's open handles.
pub fn open_handles() -> usize {
    let mut count = 0;
    // SAFETY: the pointer is to a number, and the handle needs no closing.
    assert!(unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) } != 0);
    count as usize
}

/// The number of this process's threads.
pub fn threads() -> usize {
    // SAFETY: the handle is new and ours; the entry contains its size.
    unsafe {
        let all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
        assert!(all != INVALID_HANDLE_VALUE, "{}", io::Error::last_os_error());
        let all = OwnedHandle::from_raw_handle(all);
        let mut entry: THREADENTRY32 = std::mem::zeroed();
        entry.dwSize = size_of_val(&entry) as u32;
        let mut found = Thread32First(all.as_raw_handle(), &raw mut entry) != 0;
        let mut own = 0;
        while found {
            own += usize::from(entry.th32OwnerProcessID == std::process::id());
            found = Thread32Next(all.as_raw_handle(), &raw mut entry) != 0;
        }
        own
    }
}
