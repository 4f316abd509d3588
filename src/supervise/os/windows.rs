//! Windows: the channels are named pipes that QEMU makes.

use crate::qemu::Channel;
use crate::supervise::Launch;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use windows_sys::Win32::Foundation::WAIT_TIMEOUT;
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS, WaitForSingleObject,
};

/// QEMU creates `\\.\pipe\NAME` and waits until it is opened, one pipe after the other.
pub struct Links {
    console: String,
    control: String,
}

impl Links {
    /// The keys are in files, QEMU has a network of its own, and no folder is shared.
    pub fn new(launch: &Launch) -> io::Result<Self> {
        let channels = &launch.channels;
        Ok(Self { console: path(&channels.console)?, control: path(&channels.control)? })
    }

    /// No console: its events are for the launcher (QEMU would stop the guest), and without this flag Windows would open one
    /// if the launcher has none.
    pub fn prepare(command: &mut Command) {
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }

    /// Nothing is inherited.
    pub fn hand_to(&self, _: &mut Command) {}

    /// A pipe can't be written while it is being read; so a plan for Windows has no checkpoint, and nothing is sent to the
    /// guest.
    pub fn connect(self, qemu: &Child) -> io::Result<Ends> {
        let pipe = |path| Pipe::new(path, qemu);
        let (console, control) = (Box::new(pipe(self.console)?), Box::new(pipe(self.control)?));
        Ok(Ends { console, control, to_guest: Box::new(io::sink()), keyboard: None })
    }
}

fn path(channel: &Channel) -> io::Result<String> {
    match channel {
        Channel::Pipe(name) => Ok(format!(r"\\.\pipe\{name}")),
        Channel::Descriptor(number) => {
            Err(io::Error::other(format!("Windows can't pass on descriptor {number}")))
        }
    }
}

/// The launcher's ends of the channels.
pub struct Ends {
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
    pub to_guest: Box<dyn Write + Send>,
    /// None: the window keeps no keys.
    pub keyboard: Option<PipeWriter>,
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

    /// A QEMU that has exited creates no pipe.
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
