//! Programs of the host that connect to the guest: to its agent, and to its ports that are published on the host.

use super::tcp::{Connection, Ends, Other};
use super::watch::Watch;
use super::{AGENT, CONNECTIONS, Peer, seed};
use crate::net::link;
use crate::net::ports::At;
use crate::protocol::{AGENT_PORT, RELAY_PORT};
use socket2::Socket;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Instant;

/// The first port of the gateway for connections to the guest.
const EPHEMERAL: u16 = 49_152;

/// The sockets of the host that lead to the guest.
pub struct Inward {
    agent: Option<UnixListener>,
    published: HashMap<usize, Published>,
    next_port: u16,
}

struct Published {
    listener: TcpListener,
    guest: u16,
    at: At,
}

impl Inward {
    pub fn new(agent: Option<UnixListener>, watch: &mut Watch) -> io::Result<Self> {
        if let Some(agent) = &agent {
            agent.set_nonblocking(true)?;
            watch.watch(AGENT, agent, (true, false));
        }
        Ok(Self { agent, published: HashMap::new(), next_port: EPHEMERAL })
    }

    /// From now on, connections to this socket lead to a port of the guest.
    pub fn publish(&mut self, socket: OwnedFd, guest: u16, at: At, watch: &mut Watch) {
        self.close(guest, watch);
        let listener = TcpListener::from(socket);
        if listener.set_nonblocking(true).is_ok() {
            let key = watch.key();
            watch.watch(key, &listener, (true, false));
            self.published.insert(key, Published { listener, guest, at });
        }
    }

    pub fn close(&mut self, guest: u16, watch: &mut Watch) {
        let key = self.published.iter().find(|(_, it)| it.guest == guest).map(|(key, _)| *key);
        if let Some(key) = key {
            watch.unwatch(key);
            self.published.remove(&key);
        }
    }

    pub fn has(&self, key: usize) -> bool {
        key == AGENT || self.published.contains_key(&key)
    }

    /// The next connection to a socket, the end of the guest that it leads to, and what the guest gets before all else; None
    /// if there is none now.
    fn accept(&self, key: usize) -> Option<(Socket, SocketAddr, Vec<u8>)> {
        if key == AGENT {
            let (stream, _) = self.agent.as_ref()?.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            return Some((OwnedFd::from(stream).into(), (link::GUEST, AGENT_PORT).into(), Vec::new()));
        }
        let Published { listener, guest, at } = self.published.get(&key)?;
        let (stream, _) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let _ = stream.set_nodelay(true);
        let (guest, first) = match at {
            At::Card => ((link::GUEST, *guest), Vec::new()),
            At::Loopback => ((Ipv4Addr::LOCALHOST, *guest), Vec::new()),
            At::LoopbackV6 => ((link::GUEST, RELAY_PORT), guest.to_be_bytes().to_vec()),
        };
        Some((stream.into(), guest.into(), first))
    }
}

impl Peer {
    /// Programs of the host connect to a socket that leads to the guest.
    pub(super) fn on_inward(&mut self, key: usize, now: Instant) {
        while let Some((socket, guest, first)) = self.inward.accept(key) {
            if self.connections.len() < CONNECTIONS
                && let Some(ends) = self.free_ends(guest)
            {
                let other = Other::Socket(socket);
                let mut connection = Connection::connect(ends, self.cable(), other, seed());
                connection.first = first;
                self.start(connection, now);
            }
        }
    }

    /// Ends that no connection has: the gateway, with a port that is free for this one of the guest.
    fn free_ends(&mut self, guest: SocketAddr) -> Option<Ends> {
        let next_port = &mut self.inward.next_port;
        for _ in 0..=CONNECTIONS {
            *next_port = next_port.checked_add(1).unwrap_or(EPHEMERAL);
            let ends = Ends { guest, remote: SocketAddr::new(link::GATEWAY.into(), *next_port) };
            if !self.by_ends.contains_key(&ends) {
                return Some(ends);
            }
        }
        None
    }
}
