//! The peer's process: how the launcher starts it and talks to it, and what it does itself at its start.

use crate::error::Result;
use crate::net::account::Account;
use crate::net::message::{LINE_BYTES, Order, Report, Settings, line};
use crate::net::peer::{self, Inherited, Outside};
use crate::net::policy::Policy;
use crate::net::resolvers::Resolvers;
use crate::sys::descriptors::Assigned;
use crate::sys::role_command;
use anyhow::Context;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// What the peer inherits, under these numbers.
const CARD: RawFd = 3;
const CONTROL: RawFd = 4;
const SHOW: RawFd = 5;
const AGENT: RawFd = 6;

/// How long a peer is waited for that says its last.
const LAST: Duration = Duration::from_secs(1);

/// What the process gets.
pub struct Sockets<'a> {
    /// Its end of the cable.
    pub card: &'a UnixDatagram,
    pub show: &'a UnixListener,
    pub agent: Option<&'a UnixListener>,
}

pub struct Process {
    pub child: Child,
    control: UnixStream,
    unread: Vec<u8>,
    pub started: Instant,
}

impl Process {
    /// Starts it with these sockets.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(sockets: &Sockets<'_>) -> anyhow::Result<Self> {
        let (ours, control) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = role_command("net-peer")?;
        let mut assigned = Assigned::default();
        assigned.add(sockets.card, CARD)?;
        assigned.add(&control, CONTROL)?;
        assigned.add(sockets.show, SHOW)?;
        if let Some(agent) = sockets.agent {
            assigned.add(agent, AGENT)?;
            command.arg("--agent");
        }
        assigned.hand_to(&mut command);
        let child = command.spawn()?;
        Ok(Self { child, control: ours, unread: Vec::new(), started: Instant::now() })
    }

    pub fn set(&mut self, policy: &Policy, resolvers: &Resolvers) {
        self.tell(&Order::Set(Settings::new(policy, resolvers.clone())), None);
    }

    /// Sends an order, and a socket with it.
    pub fn tell(&mut self, order: &Order, socket: Option<BorrowedFd<'_>>) {
        let text = line(order);
        let sockets: Vec<_> = socket.iter().map(|socket| socket.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&sockets)];
        let rights = if sockets.is_empty() { &[][..] } else { &rights };
        let bytes = [IoSlice::new(text.as_bytes())];
        // One that does not read is dead, or will be.
        if let Err(e) = sendmsg::<()>(self.control.as_raw_fd(), &bytes, rights, MsgFlags::empty(), None) {
            tracing::debug!("the network's process was not told {order:?}: {e}");
        }
    }

    /// Hangs up, and reads what the peer still says.
    pub fn last_words(mut self) -> Option<Account> {
        let ready =
            self.control.set_nonblocking(false).and_then(|()| self.control.set_read_timeout(Some(LAST)));
        ready.and_then(|()| self.control.shutdown(Shutdown::Write)).ok()?;
        self.reports().into_iter().find_map(|report| match report {
            Report::Ended(account) => Some(account),
            _ => None,
        })
    }

    /// What it has reported since this was called the last time.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut buffer = [0; 4096];
        while self.unread.len() < LINE_BYTES {
            match self.control.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.unread.extend(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let complete = self.unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.unread.drain(..complete).collect();
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the peer's process does, until the launcher hangs up. `agent`: it inherits the agent's socket too.
///
/// # Errors
/// It inherited nothing, or the system has no event queue.
pub fn role(agent: bool) -> Result<()> {
    let inherit = |number: RawFd| -> anyhow::Result<OwnedFd> {
        // SAFETY: the launcher assigned the number, and nothing else in this process uses it. One that is not open is refused
        // at its first use.
        let inherited = unsafe { OwnedFd::from_raw_fd(number) };
        nix::sys::stat::fstat(&inherited).context("it is started by a launcher, with the sockets of a VM")?;
        Ok(inherited)
    };
    let inherited = Inherited {
        card: inherit(CARD)?.into(),
        control: inherit(CONTROL)?.into(),
        show: Some(inherit(SHOW)?.into()),
        agent: if agent { Some(inherit(AGENT)?.into()) } else { None },
    };
    let reports = inherited.control.try_clone().context("can't reach the launcher")?;
    let hook = reports.try_clone().context("can't reach the launcher")?;
    std::panic::set_hook(Box::new(move |panic| say_failed(&hook, &panic.to_string())));
    peer::run(inherited, Outside::default(), peer::confine)
        .inspect_err(|e| say_failed(&reports, &format!("{e:#}")))?;
    Ok(())
}

fn say_failed(mut reports: &UnixStream, because: &str) {
    let because = because.lines().collect::<Vec<_>>().join(" ");
    let _: io::Result<()> = reports.write_all(line(&Report::Failed { because }).as_bytes());
}
