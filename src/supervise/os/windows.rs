//! Windows: named pipes that QEMU makes, a job object that ends QEMU with the launcher, console events.

use crate::error::{Error, Result};
use crate::qemu::{Channel, Channels};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use windows_sys::Win32::Foundation::WAIT_TIMEOUT;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS, GetCurrentProcess, WaitForSingleObject,
};

use super::Exit;

/// QEMU makes `\\.\pipe\NAME` and waits for somebody to open it, one after the other.
pub struct Links {
    console: String,
    control: String,
}

impl Links {
    pub fn new(channels: &Channels) -> io::Result<Self> {
        Ok(Self { console: path(&channels.console)?, control: path(&channels.control)? })
    }

    /// No console: its events are for the launcher (QEMU stops the guest for them), and where the launcher has none, none
    /// is opened for QEMU.
    pub fn hand_to(&self, command: &mut Command) {
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }

    /// A pipe that somebody reads can't be written at the same time; so a plan for Windows has no checkpoint, and nothing
    /// to tell the guest.
    pub fn connect(self, qemu: &Child) -> io::Result<Ends> {
        let pipe = |path| Pipe::new(path, qemu);
        let to_guest = Box::new(io::sink());
        Ok(Ends { console: Box::new(pipe(self.console)?), control: Box::new(pipe(self.control)?), to_guest })
    }
}

fn path(channel: &Channel) -> io::Result<String> {
    match channel {
        Channel::Pipe(name) => Ok(format!(r"\\.\pipe\{name}")),
        Channel::Descriptor(number) => {
            Err(io::Error::other(format!("Windows hands over no descriptor {number}")))
        }
    }
}

/// Our ends of the channels.
pub struct Ends {
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
    pub to_guest: Box<dyn Write + Send>,
}

/// Opened at the first read, on the reader's thread: QEMU needs a moment to make it.
struct Pipe {
    path: String,
    qemu: OwnedHandle,
    open: Option<File>,
}

impl Pipe {
    fn new(path: String, qemu: &Child) -> io::Result<Self> {
        Ok(Self { path, qemu: qemu.as_handle().try_clone_to_owned()?, open: None })
    }

    /// A QEMU that has ended makes none any more.
    fn open(&self) -> io::Result<File> {
        const MOMENT: u32 = 10;
        loop {
            match File::options().read(true).write(true).open(&self.path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    // SAFETY: the handle is open.
                    if unsafe { WaitForSingleObject(self.qemu.as_raw_handle(), MOMENT) } != WAIT_TIMEOUT {
                        return Err(e);
                    }
                }
                opened => return opened,
            }
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let read = file.read(buffer);
        self.open = Some(file);
        match read {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(0),
            read => read,
        }
    }
}

/// Nothing: the job ends QEMU with the launcher.
pub fn share(_: &File, _: &mut Command) {}

/// Puts this process, and so what it starts from here on, in a job that ends its processes when the last handle to it
/// is closed: the system does that when we end, however we do. A child that is put in one after its start could
/// outlive a launcher that is killed in between.
pub fn die_with_launcher(_: &mut Command) -> io::Result<()> {
    static JOB: Mutex<Option<OwnedHandle>> = Mutex::new(None);
    let mut job = JOB.lock().unwrap_or_else(PoisonError::into_inner);
    if job.is_none() {
        *job = Some(enter_job()?);
    }
    Ok(())
}

fn enter_job() -> io::Result<OwnedHandle> {
    // SAFETY: plain calls with valid pointers; the job's handle is new and ours.
    unsafe {
        let job = CreateJobObjectW(std::ptr::null(), std::ptr::null());
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        let job = OwnedHandle::from_raw_handle(job);
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = std::mem::zeroed();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        checked(SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size_of_val(&limits) as u32,
        ))?;
        checked(AssignProcessToJobObject(job.as_raw_handle(), GetCurrentProcess()))?;
        Ok(job)
    }
}

fn checked(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Nothing more to hold.
pub struct Guard;

impl Guard {
    pub fn new(_: &Child) -> io::Result<Self> {
        Ok(Self)
    }
}

/// What macOS needs.
///
/// # Errors
/// Always: here QEMU ends with the launcher without it.
pub fn guard(_: i32, _: i32) -> Result<()> {
    Err(Error::bad_input("only macOS has a process that guards QEMU"))
}

/// There is no SIGTERM.
pub fn terminate(child: &mut Child) {
    let _ = child.kill();
}

/// A process that an exception ends has its NTSTATUS for a status: an error's begins with 0xC ([MS-ERREF], 2.3).
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

/// The console events that were taken over: they wait here until somebody listens.
pub struct StopRequests(Receiver<()>);

impl StopRequests {
    /// Calls `raise` at each, on a thread of its own.
    pub fn listen(self, raise: impl Fn() + Send + 'static) -> io::Result<()> {
        let Self(requests) = self;
        let listen = move || requests.into_iter().for_each(|()| raise());
        std::thread::Builder::new().name("console events".to_owned()).spawn(listen).map(drop)
    }
}

static REQUESTS: OnceLock<Sender<()>> = OnceLock::new();

/// Takes over the console's events: Ctrl-C, Ctrl-Break, a closed console, the end of the session.
///
/// # Errors
/// They are taken over already.
pub fn take_over_stop_requests() -> io::Result<StopRequests> {
    let (sender, requests) = channel();
    REQUESTS.set(sender).map_err(|_| io::Error::from(ErrorKind::AlreadyExists))?;
    // SAFETY: the handler is a function for as long as the program runs.
    checked(unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) })?;
    Ok(StopRequests(requests))
}

/// On a thread that the system makes for it. Once it returns from any event but these two the system ends the process,
/// and 5 s after the event anyway (HandlerRoutine): the guest is given some of them to power off, then QEMU to write its
/// disks.
unsafe extern "system" fn on_console_event(event: u32) -> i32 {
    const GUESTS: Duration = Duration::from_secs(3);
    let Some(requests) = REQUESTS.get() else { return 0 };
    // Fails where nobody listens any more.
    let request = || _ = requests.send(());
    request();
    if !matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        std::thread::sleep(GUESTS);
        request();
        loop {
            std::thread::park();
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use windows_sys::Win32::System::Console::CTRL_CLOSE_EVENT;

    #[test]
    fn a_closed_console_asks_twice_and_leaves_the_process_to_end_itself() {
        let StopRequests(requests) = take_over_stop_requests().unwrap();
        let asked = || requests.try_iter().count();
        // SAFETY: it is a function like any other.
        let send = |event| thread::spawn(move || unsafe { on_console_event(event) });
        assert_eq!(send(CTRL_C_EVENT).join().unwrap(), 1);
        assert_eq!(asked(), 1);
        let handler = send(CTRL_CLOSE_EVENT);
        thread::sleep(Duration::from_millis(4500));
        assert_eq!(asked(), 2);
        assert!(!handler.is_finished());
    }
}
