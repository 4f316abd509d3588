//! Pseudo-terminals: opening one for a user, its size and modes, and its master side as an asynchronous stream.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices as Char, Termios,
    tcgetattr, tcsetattr,
};
use nix::unistd::{Gid, Uid, fchown};
use russh::Pty as Mode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::account::Account;

/// How long output may still come once the program has ended. Its end hangs the terminal up, which ends the output
/// by itself; this is for a terminal that somebody else holds open.
pub const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub columns: u32,
    pub rows: u32,
    pub width: u32,
    pub height: u32,
}

/// What the client asked for: RFC 4254, section 6.2.
#[derive(Debug)]
pub struct Request {
    pub term: String,
    pub size: Size,
    pub modes: Vec<(Mode, u32)>,
}

pub struct Master(AsyncFd<PtyMaster>);

/// The program's side, and its name in /dev.
pub struct Terminal {
    pub slave: OwnedFd,
    pub path: PathBuf,
}

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, libc::winsize);
nix::ioctl_write_int_bad!(take_controlling_terminal, libc::TIOCSCTTY);

/// Opens a terminal that belongs to `owner`. Neither side is ever inherited by a process of another session.
pub fn open(request: &Request, owner: &Account) -> io::Result<(Master, Terminal)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a system call on an open descriptor; its result is checked, and owned by nobody else.
    let slave = unsafe {
        match libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) {
            -1 => return Err(io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    if nix::unistd::geteuid().is_root() {
        fchown(&slave, Some(Uid::from_raw(owner.uid)), None::<Gid>)?;
    }
    let mut termios = tcgetattr(&slave)?;
    apply_modes(&mut termios, &request.modes);
    tcsetattr(&slave, SetArg::TCSANOW, &termios)?;
    let path = ptsname_r(&master)?.into();
    // SAFETY: a PtyMaster owns its descriptor and never replaces it.
    let master = Master(unsafe { AsyncFd::register(master) }.map_err(|e| e.into_parts().1)?);
    master.resize(request.size)?;
    Ok((master, Terminal { slave, path }))
}

/// In a forked child whose standard input is a terminal: makes it the controlling one of a new session.
pub fn control_in_child() -> io::Result<()> {
    // SAFETY: a system call on standard input, whatever that is.
    unsafe { take_controlling_terminal(0, 0)? };
    Ok(())
}

impl Master {
    pub fn resize(&self, size: Size) -> io::Result<()> {
        let short = |n: u32| n.min(u16::MAX.into()) as u16;
        let size = libc::winsize {
            ws_row: short(size.rows),
            ws_col: short(size.columns),
            ws_xpixel: short(size.width),
            ws_ypixel: short(size.height),
        };
        // SAFETY: `size` lives through the call.
        unsafe { set_window_size(self.0.get_ref().as_raw_fd(), &size)? };
        Ok(())
    }

    /// What was written to the terminal; nothing once it is hung up.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = |mut master: &PtyMaster| io::Read::read(&mut master, buffer);
        match self.0.async_io(Interest::READABLE, read).await {
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(0),
            other => other,
        }
    }

    /// Types all of `bytes`.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let write = |mut master: &PtyMaster| io::Write::write(&mut master, bytes);
            let written = self.0.async_io(Interest::WRITABLE, write).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Types what ends the input, as the terminal is set now: a terminal can't be half closed.
    pub async fn write_end(&self) -> io::Result<()> {
        let end = tcgetattr(self.0.get_ref())?.control_chars[Char::VEOF as usize];
        self.write_all(&[end]).await
    }
}

/// RFC 4254, section 8. Speeds and what Linux does not have are passed over.
fn apply_modes(termios: &mut Termios, modes: &[(Mode, u32)]) {
    for &(mode, value) in modes {
        if let Some(char) = character(mode) {
            // 255 means: no such character.
            termios.control_chars[char as usize] = if value == 255 { 0 } else { value as u8 };
        }
        let on = value != 0;
        termios.input_flags.set(input_flag(mode), on);
        termios.output_flags.set(output_flag(mode), on);
        termios.local_flags.set(local_flag(mode), on);
        match mode {
            Mode::CS7 if on => termios.control_flags.replace_size(ControlFlags::CS7),
            Mode::CS8 if on => termios.control_flags.replace_size(ControlFlags::CS8),
            Mode::PARENB => termios.control_flags.set(ControlFlags::PARENB, on),
            Mode::PARODD => termios.control_flags.set(ControlFlags::PARODD, on),
            _ => {}
        }
    }
}

trait CharacterSize {
    fn replace_size(&mut self, size: ControlFlags);
}

impl CharacterSize for ControlFlags {
    fn replace_size(&mut self, size: ControlFlags) {
        self.remove(ControlFlags::CSIZE);
        self.insert(size);
    }
}

fn character(mode: Mode) -> Option<Char> {
    Some(match mode {
        Mode::VINTR => Char::VINTR,
        Mode::VQUIT => Char::VQUIT,
        Mode::VERASE => Char::VERASE,
        Mode::VKILL => Char::VKILL,
        Mode::VEOF => Char::VEOF,
        Mode::VEOL => Char::VEOL,
        Mode::VEOL2 => Char::VEOL2,
        Mode::VSTART => Char::VSTART,
        Mode::VSTOP => Char::VSTOP,
        Mode::VSUSP => Char::VSUSP,
        Mode::VREPRINT => Char::VREPRINT,
        Mode::VWERASE => Char::VWERASE,
        Mode::VLNEXT => Char::VLNEXT,
        Mode::VDISCARD => Char::VDISCARD,
        _ => return None,
    })
}

fn input_flag(mode: Mode) -> InputFlags {
    match mode {
        Mode::IGNPAR => InputFlags::IGNPAR,
        Mode::PARMRK => InputFlags::PARMRK,
        Mode::INPCK => InputFlags::INPCK,
        Mode::ISTRIP => InputFlags::ISTRIP,
        Mode::INLCR => InputFlags::INLCR,
        Mode::IGNCR => InputFlags::IGNCR,
        Mode::ICRNL => InputFlags::ICRNL,
        Mode::IXON => InputFlags::IXON,
        Mode::IXANY => InputFlags::IXANY,
        Mode::IXOFF => InputFlags::IXOFF,
        Mode::IMAXBEL => InputFlags::IMAXBEL,
        Mode::IUTF8 => InputFlags::IUTF8,
        _ => InputFlags::empty(),
    }
}

fn output_flag(mode: Mode) -> OutputFlags {
    match mode {
        Mode::OPOST => OutputFlags::OPOST,
        Mode::OLCUC => OutputFlags::OLCUC,
        Mode::ONLCR => OutputFlags::ONLCR,
        Mode::OCRNL => OutputFlags::OCRNL,
        Mode::ONOCR => OutputFlags::ONOCR,
        Mode::ONLRET => OutputFlags::ONLRET,
        _ => OutputFlags::empty(),
    }
}

fn local_flag(mode: Mode) -> LocalFlags {
    match mode {
        Mode::ISIG => LocalFlags::ISIG,
        Mode::ICANON => LocalFlags::ICANON,
        Mode::ECHO => LocalFlags::ECHO,
        Mode::ECHOE => LocalFlags::ECHOE,
        Mode::ECHOK => LocalFlags::ECHOK,
        Mode::ECHONL => LocalFlags::ECHONL,
        Mode::NOFLSH => LocalFlags::NOFLSH,
        Mode::TOSTOP => LocalFlags::TOSTOP,
        Mode::IEXTEN => LocalFlags::IEXTEN,
        Mode::ECHOCTL => LocalFlags::ECHOCTL,
        Mode::ECHOKE => LocalFlags::ECHOKE,
        Mode::PENDIN => LocalFlags::PENDIN,
        _ => LocalFlags::empty(),
    }
}
