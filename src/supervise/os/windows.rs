//! Windows: named pipes that QEMU makes, and a job object that ends QEMU with the launcher.

use crate::qemu::{Channel, Channels};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;

use super::Exit;

/// QEMU makes `\\.\pipe\NAME` and waits for somebody to open it, one after the other.
pub struct Links {
    console: Pipe,
    control: Pipe,
}

impl Links {
    pub fn new(channels: &Channels) -> io::Result<Self> {
        Ok(Self { console: Pipe::new(&channels.console)?, control: Pipe::new(&channels.control)? })
    }

    /// A group of its own: Ctrl-C is for the launcher.
    pub fn hand_to(&self, command: &mut Command) {
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }

    /// A pipe that somebody reads can't be written at the same time; so a plan for Windows has no checkpoint, and nothing
    /// to tell the guest.
    pub fn connect(self) -> io::Result<Ends> {
        let to_guest = Box::new(io::sink());
        Ok(Ends { console: Box::new(self.console), control: Box::new(self.control), to_guest })
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
    open: Option<File>,
}

impl Pipe {
    /// A QEMU that has not made its pipe by then never does.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn new(channel: &Channel) -> io::Result<Self> {
        match channel {
            Channel::Pipe(name) => Ok(Self { path: format!(r"\\.\pipe\{name}"), open: None }),
            Channel::Descriptor(number) => {
                Err(io::Error::other(format!("Windows hands over no descriptor {number}")))
            }
        }
    }

    fn open(&self) -> io::Result<File> {
        let until = Instant::now() + Self::PATIENCE;
        loop {
            match File::options().read(true).write(true).open(&self.path) {
                Err(e) if e.kind() == ErrorKind::NotFound && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
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

pub fn die_with_launcher(_: &mut Command) {}

/// The only handle to a job that ends its processes when it is closed, as the system does when we end.
pub struct Guard(#[expect(dead_code, reason = "held, not used")] OwnedHandle);

impl Guard {
    pub fn new(qemu: &Child) -> io::Result<Self> {
        let checked = |done: i32| if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        // SAFETY: plain calls with valid pointers; the job's handle is new and ours.
        unsafe {
            let job = CreateJobObjectW(std::ptr::null(), std::ptr::null());
            if job.is_null() {
                return Err(io::Error::last_os_error());
            }
            let guard = Self(OwnedHandle::from_raw_handle(job));
            let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = std::mem::zeroed();
            limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
            checked(SetInformationJobObject(
                job,
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            ))?;
            checked(AssignProcessToJobObject(job, qemu.as_raw_handle()))?;
            Ok(guard)
        }
    }
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

/// There is no nohup.
pub fn keeping_nohup<T>(install: impl FnOnce() -> T) -> T {
    install()
}
