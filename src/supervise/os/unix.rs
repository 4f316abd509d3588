//! What Linux and macOS share: inherited sockets, process groups, signals.

use crate::qemu::{Channel, Channels};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};

use super::Exit;

/// A connected pair of sockets for each channel; QEMU's ends get their numbers in the new process.
pub struct Links {
    console: Link,
    control: Link,
    /// Keeps QEMU's numbers taken in this process. Else a pipe that the standard library makes for the spawn
    /// could have one of them, and putting the socket there would cut it.
    _taken: Vec<File>,
}

/// Our ends of the channels.
pub struct Ends {
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
    /// The control channel's other direction.
    pub to_guest: Box<dyn Write + Send>,
}

struct Link {
    ours: UnixStream,
    qemus: OwnedFd,
    number: RawFd,
}

impl Links {
    pub fn new(channels: &Channels) -> io::Result<Self> {
        let (console, control) = (number(&channels.console)?, number(&channels.control)?);
        let mut taken = vec![File::open("/dev/null")?];
        // The lowest free number is given out, so one above them says that they are taken.
        while taken[taken.len() - 1].as_raw_fd() <= console.max(control) {
            taken.push(File::open("/dev/null")?);
        }
        Ok(Self { console: Link::new(console)?, control: Link::new(control)?, _taken: taken })
    }

    /// QEMU gets its sockets, and a process group of its own: the terminal sends Ctrl-C to the launcher's
    /// group, and QEMU would end at once.
    pub fn hand_to(&self, command: &mut Command) {
        command.process_group(0);
        for link in [&self.console, &self.control] {
            let (from, to) = (link.qemus.as_raw_fd(), link.number);
            let place = move || match unsafe { libc::dup2(from, to) } {
                -1 => Err(io::Error::last_os_error()),
                // The copy is not closed at exec (dup2(2)); the original is.
                _ => Ok(()),
            };
            // SAFETY: between fork and exec, `place` makes one system call and allocates nothing.
            unsafe { command.pre_exec(place) };
        }
    }

    /// QEMU's ends are closed here, so that reading ends when QEMU does.
    pub fn connect(self, _: &Child) -> io::Result<Ends> {
        let to_guest = Box::new(self.control.ours.try_clone()?);
        Ok(Ends { console: Box::new(self.console.ours), control: Box::new(self.control.ours), to_guest })
    }
}

impl Link {
    fn new(number: RawFd) -> io::Result<Self> {
        let (ours, qemus) = UnixStream::pair()?;
        Ok(Self { ours, qemus: qemus.into(), number })
    }
}

fn number(channel: &Channel) -> io::Result<RawFd> {
    match channel {
        Channel::Descriptor(number) => Ok(*number),
        Channel::Pipe(name) => Err(io::Error::other(format!("the pipe {name} is for Windows"))),
    }
}

/// Lets the new process hold this open file, too: a lock of flock(2) belongs to the file's description, which both then
/// share. Keep the result until the process is there.
pub fn share(file: &File, command: &mut Command) -> io::Result<OwnedFd> {
    // Above the channels' numbers, which are given away in the new process.
    const FIRST: RawFd = 16;
    let copy = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(FIRST))?;
    // SAFETY: a new descriptor, and ours.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    let number = copy.as_raw_fd();
    let keep = move || match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: between fork and exec, `keep` makes one system call and allocates nothing.
    unsafe { command.pre_exec(keep) };
    Ok(copy)
}

pub fn terminate(child: &mut Child) {
    // Not reaped yet, so the number is still its own.
    let sent = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
    tracing::debug!("SIGTERM to QEMU: {sent:?}");
}

pub fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) => Exit::Status(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}

pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or(format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// SIGSYS is what seccomp ends a driver with that does what the sandbox denies.
pub fn is_crash(number: i32) -> bool {
    use Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    Signal::try_from(number)
        .is_ok_and(|signal| [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP].contains(&signal))
}

/// Where a signal is told, once it is to be.
static WAKER: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: write(2) may be called in a handler (signal-safety(7)); the socket is never closed, and does not block.
    unsafe { libc::write(WAKER.load(Ordering::Relaxed), [0u8].as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

/// The signals that were taken over: they wait here until somebody listens.
pub struct StopRequests(UnixStream);

impl StopRequests {
    /// Calls `raise` at each, on a thread of its own.
    pub fn listen(self, raise: impl Fn() + Send + 'static) -> io::Result<()> {
        let Self(mut woken) = self;
        let listener = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while woken.read_exact(&mut [0]).is_ok() {
                raise();
            }
        });
        listener.map(drop)
    }
}

/// Takes over SIGINT, SIGTERM and SIGHUP. A SIGHUP that was ignored stays so: so says nohup(1).
///
/// # Errors
/// They are taken over already.
pub fn take_over_stop_requests() -> io::Result<StopRequests> {
    let (woken, waker) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    if WAKER.compare_exchange(-1, waker.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // From here on it is the handler's.
    let _ = waker.into_raw_fd();
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler is a function for as long as the program runs, and makes one system call.
        unsafe {
            let before = sigaction(signal, &action)?;
            if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
                sigaction(signal, &before)?;
            }
        }
    }
    Ok(StopRequests(woken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_lock_ends_with_the_last_of_its_holders() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            File::options().write(true).create(true).truncate(true).open(folder.path().join("lock")).unwrap()
        };
        let lock = open();
        lock.try_lock().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let until_spawned = share(&lock, &mut command).unwrap();
        let mut holder = command.spawn().unwrap();
        drop((lock, until_spawned));
        assert!(open().try_lock().is_err(), "it ended with the launcher");
        holder.kill().unwrap();
        holder.wait().unwrap();
        open().try_lock().unwrap();
    }
}
