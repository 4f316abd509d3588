//! Unix: the launcher's side of the peer. It keeps what the peer needs to start again: the cable's end, the agent's socket and
//! the settings; so a peer that died is replaced while the VM goes on.

mod followed;
mod log;
mod process;
mod published;
mod requests;

pub use process::role;
pub use requests::{change, open, show};

use super::message::Report;
use super::peer;
use super::policy::Policy;
use super::ports::{self, Listening};
use super::{Files, account};
use crate::error::{Error, Kind, Result};
use crate::model::Publish;
use crate::model::units::VmName;
use crate::sys::sockets;
use anyhow::Context;
use followed::Followed;
use log::Log;
use process::{Process, Sockets};
use published::Published;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// sshfs and some other file systems of other machines have none.
const NO_SOCKETS: &str = "its file system may have no sockets: set XDG_STATE_HOME to a folder of a local one";

/// A peer that dies sooner than this after its start, this many times, is not started again.
const SOON: Duration = Duration::from_secs(10);
const DEATHS: u32 = 3;

/// The end of the cable that QEMU gets.
#[derive(Debug)]
pub struct CardEnd(UnixDatagram);

impl AsFd for CardEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The network of one VM: a peer, and another one if it dies. It ends when this is dropped.
pub struct Network {
    policy: Policy,
    files: Files,
    log: Log,
    resolvers: Followed,
    card: Arc<CardEnd>,
    peers: UnixDatagram,
    /// None before the first start.
    show: Option<UnixListener>,
    agent: Option<UnixListener>,
    peer: Option<Process>,
    deaths: u32,
    published: Published,
    /// Sentences for the user that nobody has asked for yet.
    unsaid: Vec<String>,
}

impl Network {
    /// Only what QEMU needs: a start waits for this.
    ///
    /// # Errors
    /// The cable can't be made.
    pub fn new(policy: Policy, ports: ports::Policy, files: Files) -> Result<Self> {
        let (card, peers) = peer::cable().context("can't make the cable of the network card")?;
        Ok(Self {
            policy,
            log: Log::default(),
            resolvers: Followed::default(),
            card: Arc::new(CardEnd(card)),
            peers,
            show: None,
            agent: None,
            published: Published::new(files.vm.clone(), ports),
            files,
            peer: None,
            deaths: 0,
            unsaid: Vec::new(),
        })
    }

    /// What QEMU's network card is joined to.
    pub fn card(&self) -> Option<Arc<CardEnd>> {
        Some(self.card.clone())
    }

    /// Starts the peer. Must be called on the thread that supervises QEMU: on Linux the peer dies with it.
    ///
    /// # Errors
    /// It can't be started, a socket can't be made, or the log not written.
    pub fn start(&mut self) -> Result<()> {
        if self.show.is_none() {
            let listen = |path: &Path| {
                let made = sockets::listen(path)
                    .with_context(|| format!("can't make the socket {}", path.display()));
                made.map_err(|e| Error::caused(Kind::Failed, e, NO_SOCKETS))
            };
            self.agent = self.files.agent.as_deref().map(listen).transpose()?;
            self.show = Some(listen(&self.files.show)?);
            self.log = Log::open(self.files.log.as_deref())?;
        }
        self.resolvers.look();
        let mut peer = self.process().context("can't start the network of the VM")?;
        peer.set(&self.policy, &self.resolvers.current);
        self.published.hand_to(&mut peer);
        self.peer = Some(peer);
        self.unsaid.extend(self.published.update(self.peer.as_mut()));
        Ok(())
    }

    fn process(&self) -> anyhow::Result<Process> {
        let show = self.show.as_ref().context("its socket is not made yet")?;
        Process::start(&Sockets { card: &self.peers, show, agent: self.agent.as_ref() })
    }

    /// What it may reach now.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Looks after the peer: what it has to say, as sentences for the user. To be called about once a second.
    pub fn look(&mut self) -> Vec<String> {
        let Some(peer) = &mut self.peer else { return Vec::new() };
        let (mut notices, mut cause) = (std::mem::take(&mut self.unsaid), None);
        for report in peer.reports() {
            match report {
                Report::Refused { to, because, flag } => {
                    self.log.append(&format!("refused {to}: {because}"));
                    notices.push(refused(&self.files.vm, &to, &because, flag.as_deref()));
                }
                Report::Reached { to, names } => {
                    self.log.append(format!("reached {to} {}", names.join(" ")).trim_end());
                }
                Report::Failed { because } => cause = Some(because),
                Report::Ended(_) => {}
            }
        }
        let requested = requests::requested(&self.files.request);
        let policy = requested.policy.and_then(|settings| settings.policy());
        let is_changed = policy.is_some();
        if let Some(policy) = policy {
            self.log.append(&format!("the policy is {policy}"));
            self.policy = policy;
        }
        if self.resolvers.look() || is_changed {
            peer.set(&self.policy, &self.resolvers.current);
        }
        if let Ok(Some(status)) = peer.child.try_wait() {
            let cause = cause.unwrap_or_else(|| crate::sys::process::exit(status).to_string());
            self.deaths = if peer.started.elapsed() < SOON { self.deaths + 1 } else { 1 };
            notices.push(self.replace(&cause));
        }
        if !requested.open.is_empty() {
            self.published.allow(requested.open);
            notices.extend(self.published.update(self.peer.as_mut()));
        }
        notices
    }

    /// The guest listens on other ports than before; what there is to say about it.
    pub fn listening(&mut self, listening: Listening) -> Vec<String> {
        self.published.listening(listening);
        self.published.update(self.peer.as_mut())
    }

    /// The ports of the host that lead into the guest now.
    pub fn published(&self) -> Vec<Publish> {
        self.published.list()
    }

    /// Ends the peer, and returns the line about what left the VM, if something did.
    pub fn finish(&mut self) -> Option<String> {
        let account = self.peer.take()?.last_words()?;
        for row in &account.reached {
            let (sent, received) = (account::bytes(row.sent), account::bytes(row.received));
            self.log.append(&format!("{}: {sent} sent, {received} received", row.to));
        }
        account.summary()
    }

    fn replace(&mut self, cause: &str) -> String {
        self.peer = None;
        if self.deaths >= DEATHS {
            return format!("the VM has no network any more: its process failed {DEATHS} times ({cause})");
        }
        match self.start() {
            Ok(()) => {
                format!("the network of the VM was started again, and its connections are lost ({cause})")
            }
            Err(e) => format!("the VM has no network any more: {e}"),
        }
    }
}

fn refused(vm: &VmName, to: &str, because: &str, flag: Option<&str>) -> String {
    let hint = flag.map(|flag| format!(" (to open it: virtualghost net {vm} {flag})")).unwrap_or_default();
    format!("the VM can't reach {to}: {because}{hint}")
}
