//! Holds the control port while the guest runs. The kernel lets one process open it at a time, so others send through this
//! one.
//!
//! ```text
//! ghostly-agent report ──► SOCKET ──► control ◄──► the port ◄──► the launcher
//!                                       │
//!                                     clock
//! ```

use super::clock::Clock;
use super::ports::Ports;
use super::shares;
use super::status;
use crate::protocol::{GuestEvent, HostMessage, line};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The argument that makes this program hold the port.
pub const CONTROL: &str = "control";

const SOCKET: &str = "/run/virtualghost/control";
/// Who may write to the host.
const GROUP: &str = "virtualghost";
/// Longer lines are no messages.
const LINE_BYTES: u64 = 4096;
/// What was sent and forwarded is confirmed by it.
const FORWARDED: &[u8] = b".";
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns if there is no port.
///
/// # Errors
/// The port or the clock can't be used any more.
pub fn control() -> io::Result<()> {
    // Before the port is taken: a report finds either the port or this.
    let listener = listen(Path::new(SOCKET))?;
    let Some(port) = status::open_port(OpenOptions::new().read(true).write(true))? else { return Ok(()) };
    let mut port = Port { port, unfinished: Vec::new() };
    let mut clock = Clock::new()?;
    let mut ports = Ports::new();
    port.send(&clock.check())?;
    loop {
        let patience = clock.patience().map_or(ports.patience(), |clock| clock.min(ports.patience()));
        // Rounded up: a look that comes too soon is for nothing.
        let patience = PollTimeout::try_from(patience + Duration::from_millis(1));
        let fds = [port.port.as_fd(), clock.was_set(), listener.as_fd()];
        let mut waiting = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut waiting, patience.map_err(io::Error::other)?) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => (),
            Err(e) => return Err(e.into()),
        }
        let [messages, set, reports] = waiting.map(|fd| fd.any().unwrap_or_default());
        if messages {
            for message in port.read()? {
                match message {
                    HostMessage::ShareLost { number } => shares::give_up(number),
                    HostMessage::ShareCrowded => shares::forget(),
                    HostMessage::CheckClock | HostMessage::Time { .. } => {}
                }
                clock.on(message)?.map_or(Ok(()), |event| port.send(&event))?;
            }
        }
        if set {
            let question = clock.on_set()?;
            port.send(&question)?;
        }
        if reports {
            // A process that sends nothing is ignored.
            let _ = forward_from(&listener, &mut port.port);
        }
        ports.look()?.map_or(Ok(()), |event| port.send(&event))?;
        if clock.patience() == Some(Duration::ZERO) {
            clock.ask_again().map_or(Ok(()), |event| port.send(&event))?;
        }
    }
}

struct Port {
    port: File,
    /// The beginning of a line.
    unfinished: Vec<u8>,
}

impl Port {
    fn send(&mut self, event: &GuestEvent) -> io::Result<()> {
        self.port.write_all(line(event).as_bytes())
    }

    /// The messages that have arrived. Lines of another kind are ignored.
    fn read<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<Vec<T>> {
        let mut bytes = [0; LINE_BYTES as usize];
        let length = self.port.read(&mut bytes)?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the host has closed the control port"));
        }
        self.unfinished.extend_from_slice(&bytes[..length]);
        let mut lines: Vec<Vec<u8>> =
            self.unfinished.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        self.unfinished = lines.pop().filter(|rest| rest.len() < LINE_BYTES as usize).unwrap_or_default();
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    fs::create_dir_all(socket.parent().expect("it is in a folder"))?;
    // Of an earlier process, which has ended.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let group = nix::unistd::Group::from_name(GROUP)?.map(|group| group.gid);
    nix::unistd::chown(socket, None, group)?;
    fs::set_permissions(socket, Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Forwards the line of the next process that reports.
fn forward_from(listener: &UnixListener, port: &mut impl Write) -> io::Result<()> {
    let (mut reporter, _) = listener.accept()?;
    reporter.set_read_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new((&reporter).take(LINE_BYTES)).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        port.write_all(&line)?;
        reporter.write_all(FORWARDED)?;
    }
    Ok(())
}

/// Sends a line through the process that holds the port. Whether there is one, and it has done so.
pub fn forward(line: &str) -> bool {
    forward_to(Path::new(SOCKET), line).unwrap_or(false)
}

fn forward_to(socket: &Path, line: &str) -> io::Result<bool> {
    let mut control = UnixStream::connect(socket)?;
    control.set_read_timeout(Some(PATIENCE))?;
    control.write_all(line.as_bytes())?;
    control.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    control.take(FORWARDED.len() as u64).read_to_end(&mut answer)?;
    Ok(answer == FORWARDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_forwarded_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/control");
        assert!(forward_to(&socket, "x\n").is_err());
        fs::create_dir(folder.path().join("run")).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let too_long = format!("{}\n", "x".repeat(LINE_BYTES as usize));
        for (sent, arrives) in
            [("{\"event\":\"session-ready\"}\n", true), ("half", false), (&too_long, false)]
        {
            let mut port = Vec::new();
            let done = std::thread::scope(|scope| {
                let reporter = scope.spawn(|| forward_to(&socket, sent).unwrap_or(false));
                forward_from(&listener, &mut port).unwrap();
                reporter.join().unwrap()
            });
            assert_eq!((done, port == sent.as_bytes()), (arrives, arrives), "{sent:.20}");
        }
    }

    #[test]
    fn messages_are_lines_however_they_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        let lines = "{\"message\":\"check-clock\"}\nnonsense\n{\"message\":\"time\",\"token\":3,\"nanoseconds\":5}\n{\"mes";
        fs::write(&path, lines).unwrap();
        let mut port = Port { port: File::open(&path).unwrap(), unfinished: Vec::new() };
        let found: Vec<HostMessage> = port.read().unwrap();
        assert_eq!(found, [HostMessage::CheckClock, HostMessage::Time { token: 3, nanoseconds: 5 }]);
        assert_eq!(port.unfinished, b"{\"mes");
        assert!(port.read::<HostMessage>().is_err(), "the end of the port is an error");
    }
}
