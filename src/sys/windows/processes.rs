//! Processes: their identity, their end, and the job object that ends QEMU with the launcher.

use crate::sys::process::Exit;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use windows_sys::Win32::Foundation::{FILETIME, HANDLE_FLAG_INHERIT, SetHandleInformation, WAIT_TIMEOUT};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS, EVENT_MODIFY_STATE, GetCurrentProcess, GetProcessTimes,
    OpenEventW, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
    SetEvent, TerminateProcess, WaitForSingleObject,
};

/// In units of 100 ns since 1601 (FILETIME). A process that has ended can be opened while any handle to it is open.
pub fn started(pid: u32) -> Option<u64> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE).ok()?;
    // SAFETY: the handle is open.
    let runs = unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == WAIT_TIMEOUT;
    creation(&process).filter(|_| runs)
}

pub fn ask_to_stop(pid: u32, since: u64) -> io::Result<()> {
    if started(pid) != Some(since) {
        return Err(ErrorKind::NotFound.into());
    }
    // SAFETY: the name ends with a NUL.
    let event = owned(unsafe { OpenEventW(EVENT_MODIFY_STATE, 0, event_name(pid).as_ptr()) })?;
    // SAFETY: the handle is open.
    checked(unsafe { SetEvent(event.as_raw_handle()) })
}

pub fn kill(pid: u32, since: u64) -> io::Result<()> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE)?;
    if creation(&process) != Some(since) {
        return Err(ErrorKind::NotFound.into());
    }
    // SAFETY: the handle is open.
    checked(unsafe { TerminateProcess(process.as_raw_handle(), 1) })
}

/// The name of the event by which the launcher `pid` is asked to stop, with a NUL.
pub(super) fn event_name(pid: u32) -> Vec<u16> {
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

pub(super) fn owned(handle: *mut std::ffi::c_void) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new, and no one else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

pub(super) fn checked(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Nothing to do: the job ends QEMU with the launcher.
pub fn share(_: &File, _: &mut Command) {}

/// Puts this process, and so the processes that it starts later, in a job that ends them when the last handle to it is
/// closed, which the system does when the launcher ends for whatever reason. A child that is put in a job after its start
/// could outlive a launcher that is killed in between.
pub fn die_with_launcher(_: &mut Command) -> io::Result<()> {
    static JOB: Mutex<Option<OwnedHandle>> = Mutex::new(None);
    let mut job = JOB.lock().unwrap_or_else(PoisonError::into_inner);
    if job.is_none() {
        *job = Some(enter_job()?);
    }
    Ok(())
}

fn enter_job() -> io::Result<OwnedHandle> {
    // SAFETY: both pointers may be null.
    let job = owned(unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) })?;
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = u32::try_from(size_of_val(&limits)).expect("it is some hundreds of bytes");
    let (handle, pointer) = (job.as_raw_handle(), (&raw const limits).cast());
    // SAFETY: the handle is open, and the pointer is to a structure of that kind and size.
    checked(unsafe { SetInformationJobObject(handle, JobObjectExtendedLimitInformation, pointer, size) })?;
    // SAFETY: no arguments, and a constant for a result.
    let this_process = unsafe { GetCurrentProcess() };
    // SAFETY: both handles are open.
    checked(unsafe { AssignProcessToJobObject(handle, this_process) })?;
    Ok(job)
}

/// Nothing: QEMU has no console, so none of its events reach it.
pub fn ignore_stop_signals(_: &mut Command) {}

/// In a process group of its own, which Ctrl-C does not reach.
pub fn ignore_passed_on_signals(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Nothing stops a process here but a debugger.
pub fn was_continued(_: &Child) -> bool {
    false
}

/// The exit status of a process that an exception ended is an NTSTATUS; those of errors begin with 0xC ([MS-ERREF], 2.3).
pub fn exit(status: ExitStatus) -> Exit {
    match status.code().unwrap_or_default() {
        code if (code as u32) >> 28 == 0xC => Exit::Signal(code),
        code => Exit::Status(code),
    }
}

pub fn is_crash(_: i32) -> bool {
    true
}

pub fn signal_name(number: i32) -> String {
    format!("exception {number:#X}")
}

/// Starts the process without a console, so that neither Ctrl-C nor closing this window reaches it. It also inherits none
/// of this process's streams: a program that reads them to their end would wait until the VM ends.
pub fn leave_terminal(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    let streams = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for stream in streams {
        // SAFETY: a number, and two flags. For a missing stream the call fails, which is fine.
        unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}
