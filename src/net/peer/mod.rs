//! The network card's peer: a process that does for the guest what a router does, and decides what leaves. One thread, one
//! event loop, no file.
//!
//! ```text
//!                 ┌────────────────── peer ──────────────────┐
//! guest ⇄ QEMU ⇄ card ⇄ frames ─┬─ ARP, neighbours, DHCP     │
//!                 │             ├─ TCP ────── policy ─ socket ⇄ server
//!                 │             ├─ UDP, ping ─ policy ─ socket ⇄ server
//!                 │             └─ DNS ─ names ─────── socket ⇄ host's resolvers
//!                 │  agent's socket ⇄ TCP to the guest's agent │
//!                 └──── settings ▲ ─────────── reports ▼ ─────┘
//!                              the launcher
//! ```
//!
//! All that the guest can make it keep is bounded: connections ([`CONNECTIONS`]), exchanges, questions, names, frames that
//! wait, destinations that were reported.

mod card;
#[cfg_attr(target_os = "linux", path = "confine/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "confine/other.rs")]
mod confine;
mod connections;
mod datagrams;
pub mod dns;
mod exchanges;
mod fragments;
pub mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod greeting;
mod guest;
mod inward;
mod launcher;
mod opening;
mod orders;
#[cfg_attr(target_os = "linux", path = "path_mtu/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "path_mtu/other.rs")]
mod path_mtu;
mod places;
mod questions;
mod record;
mod resolver;
mod senders;
mod stacks;
mod tcp;
mod watch;

pub use card::cable;
pub use confine::confine;

use super::names::Names;
use super::policy::Policy;
use crate::model::Net;
use card::Card;
use datagrams::Exchanges;
use fragments::Fragments;
use inward::Inward;
use launcher::Launcher;
use opening::Pending;
use record::Record;
use resolver::Resolver;
use senders::Senders;
use stacks::Spares;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::{Duration, Instant};
use tcp::{Connection, Ends};
use watch::{Ready, Watch};

/// So many connections are open at once; one more is refused.
pub const CONNECTIONS: usize = 2048;

/// Frames read in one go, so that servers get their turn.
const BURST: usize = 64;

const CARD: usize = 0;
const CONTROL: usize = 1;
const AGENT: usize = 2;
const ROUTER: usize = 3;
const SHOW: usize = 4;

/// What the peer inherits.
pub struct Inherited {
    /// Each datagram is a frame.
    pub card: UnixDatagram,
    /// To the launcher.
    pub control: UnixStream,
    /// Each connection to it gets the account of the VM.
    pub show: Option<UnixListener>,
    /// Each connection to it leads to the guest's agent.
    pub agent: Option<UnixListener>,
}

/// The network outside: as it is, but for tests, which reach nothing but the loopback interface.
#[derive(Debug, Default, Clone)]
pub struct Outside {
    /// Servers that are elsewhere than their address says.
    pub detours: HashMap<SocketAddr, SocketAddr>,
    /// The port of the resolvers, if it is another.
    pub resolver_port: Option<u16>,
}

impl Outside {
    fn place(&self, of: SocketAddr) -> SocketAddr {
        self.detours.get(&of).copied().unwrap_or(of)
    }
}

/// The peer. What it does is in the modules, by subject; here is what they share.
pub struct Peer {
    card: Card,
    launcher: Launcher,
    show: Option<UnixListener>,
    watch: Watch,
    outside: Outside,
    policy: Policy,
    names: Names,
    record: Record,
    resolver: Resolver,
    connections: HashMap<usize, Connection>,
    pending: HashMap<usize, Pending>,
    by_ends: HashMap<Ends, usize>,
    spares: Spares,
    /// Connections that have something for the card while it is full.
    held_up: HashSet<usize>,
    fragments: Fragments,
    exchanges: Exchanges,
    inward: Inward,
    senders: Senders,
    /// For whatever is read, one at a time: as long as the longest frame or datagram.
    buffer: Vec<u8>,
}

/// Runs until the launcher hangs up.
///
/// # Errors
/// The system has no event queue, or the launcher's first line is no setting.
pub fn run(
    inherited: Inherited,
    outside: Outside,
    confine: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut peer = Peer::new(inherited, outside)?;
    confine()?;
    while peer.turn(None)? {}
    Ok(())
}

impl Peer {
    pub fn new(inherited: Inherited, outside: Outside) -> anyhow::Result<Self> {
        let Inherited { card, control, show, agent } = inherited;
        let mut watch = Watch::new()?;
        let launcher = Launcher::new(control)?;
        watch.watch(CONTROL, &launcher, (true, false));
        let inward = Inward::new(agent, &mut watch)?;
        if let Some(show) = &show {
            show.set_nonblocking(true)?;
            watch.watch(SHOW, show, (true, false));
        }
        Ok(Self {
            card: Card::new(card)?,
            launcher,
            show,
            watch,
            resolver: Resolver::new(outside.resolver_port),
            outside,
            // Until the launcher has said what it is.
            policy: Policy { net: Net::Off, allow: Vec::new() },
            names: Names::default(),
            record: Record::default(),
            connections: HashMap::new(),
            pending: HashMap::new(),
            by_ends: HashMap::new(),
            spares: Spares::default(),
            held_up: HashSet::new(),
            fragments: Fragments::default(),
            exchanges: Exchanges::default(),
            inward,
            senders: Senders::default(),
            buffer: vec![0; 1 << 16],
        })
    }

    /// Waits for something to do, at most so long, and does it; false once the launcher has hung up.
    pub fn turn(&mut self, at_most: Option<Duration>) -> anyhow::Result<bool> {
        let ready = self.watch.wait(at_most)?;
        self.handle(ready, Instant::now())
    }

    /// Does what there is to do at this time.
    fn handle(&mut self, ready: Vec<Ready>, now: Instant) -> anyhow::Result<bool> {
        for ready in ready {
            match ready.key {
                CARD => self.on_card(ready.readable, now),
                CONTROL => {
                    if !self.on_launcher(now)? {
                        return Ok(false);
                    }
                }
                SHOW => self.on_show(),
                key => self.on_socket(key, ready.readable, ready.writable, now),
            }
        }
        while let Some(key) = self.watch.next_over(now) {
            self.on_deadline(key, now);
        }
        self.release(now);
        Ok(true)
    }

    fn on_socket(&mut self, key: usize, readable: bool, writable: bool, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&key) {
            let fate = connection.woken(readable, writable, now);
            self.after(key, &fate, now);
        } else if self.pending.contains_key(&key) {
            self.on_connected(key, now);
        } else if self.inward.has(key) {
            self.on_inward(key, now);
        } else if self.senders.has(key) {
            self.on_sender(key, now);
        } else if self.resolver.jobs.contains_key(&key) {
            self.on_resolver(key, now);
        } else {
            self.on_exchange(key, now);
        }
    }

    fn on_deadline(&mut self, key: usize, now: Instant) {
        if key == ROUTER {
            self.advertise(now);
        } else if let Some(connection) = self.connections.get_mut(&key) {
            let fate = connection.pump(now);
            self.after(key, &fate, now);
        } else if self.pending.contains_key(&key) {
            self.on_no_answer(key);
        } else if self.resolver.jobs.contains_key(&key) {
            self.on_silence(key, now);
        } else {
            self.on_idle(key, now);
        }
    }
}

/// A number that the guest and the network can't guess.
fn seed() -> u64 {
    crate::instance::random()
}

#[cfg(test)]
mod tests;
