//! Unix: the channels are socket pairs, one end of which QEMU inherits.

use crate::qemu::{Channel, KeySource};
use crate::supervise::Launch;
use crate::sys::descriptors::Assigned;
use crate::sys::process;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// A connected pair of sockets for each channel; QEMU's ends get their numbers in the new process.
pub struct Links {
    console: UnixStream,
    control: UnixStream,
    keyboard: Option<PipeWriter>,
    qemus: Assigned,
}

/// The launcher's ends of the channels.
pub struct Ends {
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
    /// The control channel's other direction.
    pub to_guest: Box<dyn Write + Send>,
    /// While it is open, keys that are pressed in the window are kept.
    pub keyboard: Option<PipeWriter>,
}

impl Links {
    pub fn new(launch: &Launch) -> io::Result<Self> {
        let channels = &launch.channels;
        let KeySource::Descriptors(first) = channels.keys else {
            return Err(io::Error::other("keys in files are for Windows"));
        };
        let mut qemus = Assigned::default();
        let console = link(&mut qemus, &channels.console)?;
        let control = link(&mut qemus, &channels.control)?;
        if let (Some(card), Some(number)) = (&launch.card, channels.network) {
            qemus.add(card, number)?;
        }
        for (number, share) in channels.shares.into_iter().flat_map(|first| first..).zip(&launch.shares) {
            qemus.add(share, number)?;
        }
        for (number, text) in (first..).zip(&launch.keys) {
            qemus.add(key(text)?, number)?;
        }
        let keyboard = channels.keyboard.map(|number| {
            let (pipe, keyboard) = io::pipe()?;
            qemus.add(pipe, number).map(|()| keyboard)
        });
        Ok(Self { console, control, keyboard: keyboard.transpose()?, qemus })
    }

    /// Starts QEMU in a session of its own: the terminal sends Ctrl-C to the launcher's, and QEMU would exit at once; and QEMU
    /// can't open that terminal.
    pub fn prepare(command: &mut Command) {
        process::leave_terminal(command);
        limit_resources(command);
    }

    /// Passes QEMU its sockets. To be called last ([`Assigned::hand_to`]).
    pub fn hand_to(&self, command: &mut Command) {
        self.qemus.hand_to(command);
    }

    /// Closes QEMU's ends in this process, so that reading stops when QEMU exits.
    pub fn connect(self, _: &Child) -> io::Result<Ends> {
        // A guest that does not read must not stop the launcher. What it sends is not affected.
        const UNREAD: Duration = Duration::from_millis(10);
        self.control.set_write_timeout(Some(UNREAD))?;
        let to_guest = Box::new(self.control.try_clone()?);
        let (console, control) = (Box::new(self.console), Box::new(self.control));
        Ok(Ends { console, control, to_guest, keyboard: self.keyboard })
    }
}

/// Limits that QEMU can't raise again. A core file would contain the guest's memory and keys. If the host's memory runs out,
/// Linux ends a VM before what the user's session consists of (proc_pid_oom_score_adj(5)).
fn limit_resources(command: &mut Command) {
    const OPEN_FILES: libc::rlim_t = 4096;
    let limit = || {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most.min(OPEN_FILES), most.min(OPEN_FILES))?;
        // Another system has no such file.
        let _ = File::options()
            .write(true)
            .open("/proc/self/oom_score_adj")
            .and_then(|mut file| file.write_all(b"500"));
        Ok(())
    };
    // SAFETY: between fork and exec, `limit` makes system calls, and allocates nothing: the path is short.
    unsafe { command.pre_exec(limit) };
}

/// The launcher's end of a channel, whose other end becomes QEMU's.
fn link(qemus: &mut Assigned, channel: &Channel) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    qemus.add(theirs, number(channel)?)?;
    Ok(ours)
}

/// A pipe with one of the guest's keys in it: empty once QEMU has read it.
fn key(text: &str) -> io::Result<io::PipeReader> {
    let (pipe, mut writer) = io::pipe()?;
    // Less than a page, which a pipe holds without a reader (pipe(7)).
    writer.write_all(text.as_bytes())?;
    Ok(pipe)
}

fn number(channel: &Channel) -> io::Result<RawFd> {
    match channel {
        Channel::Descriptor(number) => Ok(*number),
        Channel::Pipe(name) => Err(io::Error::other(format!("the pipe {name} is for Windows"))),
    }
}
