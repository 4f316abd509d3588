//! The session's state: reported to the host on the control port when it changes (`ghostly-agent report`, called by the
//! session's own scripts), and printed for whoever asks over SSH (`ssh -s vg-NAME status`).

use super::control;
use crate::protocol::{CONTROL_PORT, GuestEvent, line};
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;

/// The arguments that make this program a reporter and a session's answer.
pub const REPORT: &str = "report";
pub const STATUS: &str = "status";

/// In the session's runtime folder: there once the first prompt is, with the path of the terminal if there is one.
/// The rest of the system starts by it, too.
const READY: &str = "virtualghost-ready";
pub const RUNTIME: &str = "/run/user/1000";

const USAGE: &str = "\
usage: ghostly-agent report session-ready | terminal-size | session-exit [STATUS] | failed SENTENCE |
    notice SENTENCE";

/// Reports an event to the host. Without a port there is no host to report to, and that is no error: another launcher than
/// ours runs this guest.
pub fn report(mut words: impl Iterator<Item = String>) -> io::Result<()> {
    let (event, word) = (words.next().unwrap_or_default(), words.next());
    let event = match (event.as_str(), word) {
        ("session-ready", None) => return report_ready(&own_terminal().unwrap_or_default()),
        ("terminal-size", None) => match session_terminal().and_then(|path| Size::of(&path)) {
            Some(size) => size.event(),
            None => return Ok(()),
        },
        ("session-exit", _) if is_crash(std::env::var("SERVICE_RESULT").ok().as_deref()) => {
            let signal = std::env::var("EXIT_STATUS").unwrap_or_default();
            GuestEvent::Failed { message: format!("it was ended by SIG{signal}") }
        }
        ("session-exit", status) => {
            let status = status.or_else(|| std::env::var("EXIT_STATUS").ok());
            GuestEvent::SessionExit { status: exit_status(status.as_deref().unwrap_or("0")) }
        }
        ("failed", Some(message)) => GuestEvent::Failed { message },
        ("notice", Some(message)) => GuestEvent::Notice { message },
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    send(&event)
}

/// Reports that the session is ready, on this terminal; an empty path for one without a screen.
pub fn report_ready(terminal: &Path) -> io::Result<()> {
    if let Some(size) = Size::of(terminal) {
        send(&size.event())?;
    }
    send(&GuestEvent::SessionReady)?;
    fs::write(Path::new(RUNTIME).join(READY), terminal.display().to_string())
}

pub fn is_ready() -> bool {
    Path::new(RUNTIME).join(READY).exists()
}

/// Whether this result of a service (systemd.exec(5), SERVICE_RESULT) is that of a main process that something has killed.
fn is_crash(result: Option<&str>) -> bool {
    matches!(result, Some("signal" | "core-dump" | "oom-kill"))
}

#[derive(Serialize)]
struct Status {
    session: &'static str,
    terminal: Option<Size>,
    /// Load averages of the last 1, 5 and 15 minutes (proc_loadavg(5)).
    load: [f64; 3],
}

/// What `ghostly-agent status` prints.
pub fn status() -> String {
    line(&Status {
        session: if is_ready() { "ready" } else { "booting" },
        terminal: session_terminal().and_then(|path| Size::of(&path)),
        load: load(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Size {
    columns: u16,
    rows: u16,
}

impl Size {
    /// Of the terminal at `path` (ioctl_tty(2), TIOCGWINSZ).
    fn of(path: &Path) -> Option<Self> {
        let terminal = OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY).open(path).ok()?;
        // SAFETY: the descriptor is open, and the pointer is to one winsize, for which all zeros are valid.
        let size = unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            (libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) == 0).then_some(size)?
        };
        Some(Self { columns: size.ws_col, rows: size.ws_row })
    }

    fn event(self) -> GuestEvent {
        let Self { columns, rows } = self;
        GuestEvent::TerminalSize { columns, rows }
    }
}

fn load() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers =
        text.split(' ').map(|word| word.parse::<f64>().ok().filter(|n| n.is_finite()).unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

/// The terminal of the session, once it is ready; none without a screen.
fn session_terminal() -> Option<PathBuf> {
    let path = fs::read_to_string(Path::new(RUNTIME).join(READY)).ok()?;
    (!path.is_empty()).then(|| path.into())
}

/// The terminal that this process belongs to: `tty_nr` of proc_pid_stat(5).
pub fn own_terminal() -> Option<PathBuf> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let number = stat.rsplit_once(')')?.1.split_whitespace().nth(4)?.parse().ok()?;
    is_pseudo_terminal(number).then(|| terminal_path(number))
}

/// The major numbers of pseudo-terminals are 136 to 143 (kernel documentation, admin-guide/devices.txt).
pub fn is_pseudo_terminal(number: u64) -> bool {
    (136..144).contains(&libc::major(number))
}

pub fn terminal_path(number: u64) -> PathBuf {
    format!("/dev/pts/{}", (libc::major(number) - 136) * 256 + libc::minor(number)).into()
}

/// What systemd gives as EXIT_STATUS: a number, or the name of a signal, which becomes the status that shells give it.
fn exit_status(text: &str) -> i32 {
    text.parse()
        .unwrap_or_else(|_| Signal::from_str(&format!("SIG{text}")).map_or(1, |signal| 128 + signal as i32))
}

/// Through the process that holds the port, which may come or go at any time, else itself.
fn send(event: &GuestEvent) -> io::Result<()> {
    let line = line(event);
    if control::forward(&line) {
        return Ok(());
    }
    match open_port(OpenOptions::new().write(true)) {
        Ok(port) => port.map_or(Ok(()), |mut port| port.write_all(line.as_bytes())),
        Err(_) if control::forward(&line) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The control port, if there is one. The kernel lets one process open it at a time: that is the lock.
pub fn open_port(how: &OpenOptions) -> io::Result<Option<File>> {
    const ATTEMPTS: u32 = 40;
    let Some(port) = port(Path::new("/sys/class/virtio-ports")) else { return Ok(None) };
    for _ in 0..ATTEMPTS {
        match how.open(&port) {
            Ok(port) => return Ok(Some(port)),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} does not open", port.display())))
}

/// Found by its name, which the kernel knows before udev does.
fn port(class: &Path) -> Option<PathBuf> {
    fs::read_dir(class).ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim_end() == CONTROL_PORT).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_is_a_number_or_the_name_of_a_signal() {
        assert_eq!(["0", "7", "TERM", "KILL", "?"].map(exit_status), [0, 7, 143, 137, 1]);
    }

    #[test]
    fn a_session_that_was_stopped_or_ended_by_itself_is_told_from_one_that_was_killed() {
        for result in ["signal", "core-dump", "oom-kill"] {
            assert!(is_crash(Some(result)), "{result}");
        }
        for result in [None, Some("success"), Some("exit-code"), Some("timeout")] {
            assert!(!is_crash(result), "{result:?}");
        }
    }

    #[test]
    fn the_port_is_found_by_its_name() {
        let class = tempfile::tempdir().unwrap();
        assert_eq!(port(class.path()), None);
        for (port, name) in [("vport1p0", "other\n"), ("vport1p1", "org.virtualghost.control\n")] {
            fs::create_dir(class.path().join(port)).unwrap();
            fs::write(class.path().join(port).join("name"), name).unwrap();
        }
        assert_eq!(port(class.path()), Some("/dev/vport1p1".into()));
    }

    #[test]
    fn the_status_is_one_line_of_json() {
        let status = Status {
            session: "ready",
            terminal: Some(Size { columns: 80, rows: 24 }),
            load: [0.5, 0.25, 0.0],
        };
        assert_eq!(
            line(&status),
            "{\"session\":\"ready\",\"terminal\":{\"columns\":80,\"rows\":24},\"load\":[0.5,0.25,0.0]}\n"
        );
    }
}
