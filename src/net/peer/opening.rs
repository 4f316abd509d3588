//! Connections that the guest wants: from its first segment until the server has answered.

use super::datagrams::why;
use super::frames::icmp::{self, Unreachable};
use super::frames::{self, Segment};
use super::places::is_to_itself;
use super::resolver::is_in_progress;
use super::tcp::{Connection, Ends, Other};
use super::{CONNECTIONS, Peer, seed};
use crate::net::link;
use crate::net::policy::{Destination, Protocol, Verdict};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// So many wait for their server at once.
pub const WAITING: usize = 512;

/// How long a server is waited for. The guest waits longer than most systems (2 minutes).
const CONNECTING: Duration = Duration::from_secs(120);

/// The gateway's port at which the guest asks why it was refused: that of finger (RFC 1288), which tells about somebody.
pub const WHY: u16 = 79;

/// A connection that the guest wants.
pub struct Attempt {
    ends: Ends,
    pub to: Destination,
    /// Where the server may be, the likeliest first.
    places: Vec<SocketAddr>,
    /// The guest's first segment.
    pub first: Vec<u8>,
}

/// One whose server has not answered yet.
pub struct Pending {
    pub attempt: Attempt,
    socket: Socket,
    /// The server is this machine, and that is meant.
    is_own: bool,
}

impl Peer {
    pub(super) fn on_segment(&mut self, segment: &Segment<'_>, now: Instant) {
        let ends = Ends { guest: segment.from, remote: segment.to };
        if let Some(&key) = self.by_ends.get(&ends) {
            if let Some(connection) = self.connections.get_mut(&key) {
                let fate = connection.take(segment.packet, now);
                self.after(key, &fate, now);
            } else if segment.resets {
                // The guest does not want it any more.
                self.drop_pending(key);
            }
        } else if segment.from.ip().is_loopback() {
            // Only what the host has opened leads to the guest's loopback interface.
        } else if segment.opens && segment.to.port() != 0 && segment.from.port() != 0 {
            self.open(ends, segment.packet, now);
        } else if !segment.resets {
            self.send(frames::tcp::reset(segment.packet));
        }
    }

    fn open(&mut self, ends: Ends, first: &[u8], now: Instant) {
        let (address, port) = (ends.remote.ip(), ends.remote.port());
        if link::is_resolver(address) && port == 53 {
            if self.connections.len() >= CONNECTIONS {
                return self.send(frames::tcp::reset(first));
            }
            let other = Other::Resolver { answers: Default::default() };
            let connection = Connection::accept(ends, self.cable(), other, first, seed());
            self.start(connection, now);
            return;
        }
        if link::is_gateway(address) && port == WHY && self.connections.len() < CONNECTIONS {
            let text = Other::Text(self.record.why(&self.policy).into_bytes().into());
            let connection = Connection::accept(ends, self.cable(), text, first, seed());
            self.start(connection, now);
            return;
        }
        let to = Destination { protocol: Protocol::Tcp, address, port };
        match self.places(&to, now) {
            Ok(places)
                if self.connections.len() + self.pending.len() < CONNECTIONS
                    && self.pending.len() < WAITING =>
            {
                self.connect(Attempt { ends, to, places, first: first.to_owned() }, now);
            }
            Ok(_) => self.send(frames::tcp::reset(first)),
            Err(refusal) => {
                self.send(frames::tcp::reset(first));
                self.record.refuse(&to, &refusal, &mut self.launcher);
            }
        }
    }

    fn connect(&mut self, mut attempt: Attempt, now: Instant) {
        let place = attempt.places.remove(0);
        let connecting = || {
            let socket = Socket::new(Domain::for_address(place), Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            socket.set_keepalive(true)?;
            match socket.connect(&place.into()) {
                Err(e) if !is_in_progress(&e) => Err(e),
                _ => Ok(socket),
            }
        };
        match connecting() {
            Ok(socket) => {
                let key = self.watch.key();
                self.watch.watch(key, &socket, (false, true));
                self.by_ends.insert(attempt.ends, key);
                self.watch.set_deadline(key, Some(now + CONNECTING));
                let is_own = place.ip().is_loopback();
                self.pending.insert(key, Pending { attempt, socket, is_own });
            }
            Err(e) => self.not_connected(attempt, &e, now),
        }
    }

    /// Tries the next place, or tells the guest.
    fn not_connected(&mut self, attempt: Attempt, error: &io::Error, now: Instant) {
        if !attempt.places.is_empty() {
            return self.connect(attempt, now);
        }
        self.send(match why(error) {
            Some(Unreachable::Port | Unreachable::Prohibited) | None => frames::tcp::reset(&attempt.first),
            Some(why) => icmp::unreachable(&attempt.first, why),
        });
    }

    pub(super) fn drop_pending(&mut self, key: usize) -> Option<Pending> {
        let pending = self.pending.remove(&key)?;
        self.by_ends.remove(&pending.attempt.ends);
        self.watch.forget(key);
        Some(pending)
    }

    pub(super) fn on_connected(&mut self, key: usize, now: Instant) {
        let Some(Pending { attempt, socket, is_own }) = self.drop_pending(key) else { return };
        let error = match socket.take_error() {
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = error {
            drop(socket);
            return self.not_connected(attempt, &error, now);
        }
        let Attempt { ends, to, first, .. } = attempt;
        // The address may have become the host's own since the policy looked.
        if !is_own && is_to_itself(&socket) {
            return self.send(frames::tcp::reset(&first));
        }
        let mut connection = Connection::accept(ends, self.cable(), Other::Socket(socket), &first, seed());
        connection.to = Some(to);
        if !link::is_gateway(to.address)
            && self.policy.verdict(&to, false, &self.names, now) == Verdict::OpenForName
        {
            connection.gate();
        }
        self.record.open(to, &self.names, now, &mut self.launcher);
        self.start(connection, now);
    }

    /// The server has been waited for long enough.
    pub(super) fn on_no_answer(&mut self, key: usize) {
        if let Some(Pending { attempt, .. }) = self.drop_pending(key) {
            self.send(icmp::unreachable(&attempt.first, Unreachable::Host));
        }
    }
}
