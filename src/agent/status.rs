//! How the session fares. Told to the host on the control port when it changes (`ghostly-agent report`, called by the
//! session's own scripts), and to whoever asks over SSH (`ssh -s vg-NAME status`): both from here, as one JSON object a
//! line.

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

/// The name of the control port, as the host gives it to QEMU.
const PORT: &str = "org.virtualghost.control";
/// In the session's runtime folder: there once the first prompt is, with the path of the terminal if there is one.
/// The rest of the system starts by it, too.
const READY: &str = "virtualghost-ready";
pub const RUNTIME: &str = "/run/user/1000";

const USAGE: &str = "\
usage: ghostly-agent report session-ready | terminal-size | session-exit [STATUS] | failed SENTENCE |
    notice SENTENCE";

/// Tells the host. Without a port there is nobody to tell, and that is no error: another host than ours runs this guest.
pub fn report(mut words: impl Iterator<Item = String>) -> io::Result<()> {
    let (event, word) = (words.next().unwrap_or_default(), words.next());
    let lines = match (event.as_str(), word) {
        ("session-ready", None) => {
            let terminal = own_terminal();
            let size = terminal.as_deref().and_then(Size::of);
            let lines = format!("{}{}", size.map(size_line).unwrap_or_default(), ready_line(load()));
            tell(&lines)?;
            let path = terminal.map(|path| path.display().to_string()).unwrap_or_default();
            return fs::write(Path::new(RUNTIME).join(READY), path);
        }
        ("terminal-size", None) => {
            session_terminal().and_then(|path| Size::of(&path)).map(size_line).unwrap_or_default()
        }
        ("session-exit", status) => {
            let status = status.or_else(|| std::env::var("EXIT_STATUS").ok());
            format!(
                "{{\"event\":\"session-exit\",\"status\":{}}}\n",
                exit_status(status.as_deref().unwrap_or("0"))
            )
        }
        ("failed" | "notice", Some(sentence)) => {
            format!("{{\"event\":\"{event}\",\"message\":{}}}\n", quoted(&sentence))
        }
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    tell(&lines)
}

/// What `ghostly-agent status` prints.
pub fn status() -> String {
    let ready = Path::new(RUNTIME).join(READY).exists();
    let [one, five, fifteen] = load();
    let terminal = session_terminal().and_then(|path| Size::of(&path));
    let terminal = terminal.map_or("null".to_owned(), |Size { columns, rows }| {
        format!("{{\"columns\":{columns},\"rows\":{rows}}}")
    });
    format!(
        "{{\"session\":\"{}\",\"terminal\":{terminal},\"load\":[{one},{five},{fifteen}]}}",
        if ready { "ready" } else { "booting" }
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

fn size_line(Size { columns, rows }: Size) -> String {
    format!("{{\"event\":\"terminal-size\",\"columns\":{columns},\"rows\":{rows}}}\n")
}

fn ready_line([one, five, fifteen]: [f64; 3]) -> String {
    format!("{{\"event\":\"session-ready\",\"load\":[{one},{five},{fifteen}]}}\n")
}

/// Load averages of the last 1, 5 and 15 minutes (proc_loadavg(5)).
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

/// The terminal that this process belongs to: `tty_nr` of proc_pid_stat(5), if it is a pseudo-terminal, whose major
/// numbers are 136 to 143 (kernel documentation, admin-guide/devices.txt).
fn own_terminal() -> Option<PathBuf> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let number: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(4)?.parse().ok()?;
    let (major, minor) = (libc::major(number), libc::minor(number));
    (136..144).contains(&major).then(|| format!("/dev/pts/{}", (major - 136) * 256 + minor).into())
}

/// What systemd gives as EXIT_STATUS: a number, or the name of a signal, which is told as shells do.
fn exit_status(text: &str) -> i32 {
    text.parse()
        .unwrap_or_else(|_| Signal::from_str(&format!("SIG{text}")).map_or(1, |signal| 128 + signal as i32))
}

fn quoted(sentence: &str) -> String {
    let plain = sentence.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') { ' ' } else { c });
    format!("\"{}\"", plain.collect::<String>())
}

fn tell(lines: &str) -> io::Result<()> {
    let port = open_port(OpenOptions::new().write(true))?;
    port.map_or(Ok(()), |mut port| port.write_all(lines.as_bytes()))
}

/// The control port, if there is one. The kernel lets one process open it at a time: that is the lock.
pub fn open_port(how: &OpenOptions) -> io::Result<Option<File>> {
    const PATIENCE: u32 = 40;
    let Some(port) = port(Path::new("/sys/class/virtio-ports")) else { return Ok(None) };
    for _ in 0..PATIENCE {
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
        (name.trim_end() == PORT).then(|| Path::new("/dev").join(entry.file_name()))
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
    fn a_sentence_can_not_break_its_line() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a b c d\"");
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
    fn what_is_said_is_json() {
        let size = size_line(Size { columns: 80, rows: 24 });
        assert_eq!(size, "{\"event\":\"terminal-size\",\"columns\":80,\"rows\":24}\n");
        assert_eq!(ready_line([0.5, 0.25, 0.0]), "{\"event\":\"session-ready\",\"load\":[0.5,0.25,0]}\n");
    }
}
