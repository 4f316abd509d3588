//! Datagrams and pings of the guest: a connected socket of the host for each pair of ends, which the kernel lets nobody else
//! answer. Bounded: the one that was used least recently goes when there are too many.

use super::frames::icmp::{self, Unreachable};
use super::frames::{Datagram, udp};
use super::path_mtu;
use crate::net::link;
use crate::net::policy::{Destination, Protocol};
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// So many are open at once.
pub const MOST: usize = 1024;

/// One that nothing went through for so long is closed: the shortest time for UDP that RFC 4787 recommends.
pub const IDLE: Duration = Duration::from_secs(300);

/// For a ping, the ports are its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    pub protocol: Protocol,
    pub guest: SocketAddr,
    pub remote: SocketAddr,
}

pub struct Exchange {
    pub ends: Ends,
    pub socket: Socket,
    pub last_used: Instant,
    /// Bytes that nobody has counted yet, from the guest and to it.
    pub uncounted: (u64, u64),
    /// Whether the kernel makes fragments of what is too large for the way.
    may_fragment: bool,
    /// The guest's last packet, for the message that it went nowhere.
    last: Vec<u8>,
}

/// As much of a packet as such a message contains.
const QUOTED: usize = 48 + 8;

impl Ends {
    /// Where they lead. A ping has no port.
    pub fn destination(&self) -> Destination {
        Destination { protocol: self.protocol, address: self.remote.ip(), port: self.remote.port() }
    }
}

impl Exchange {
    /// # Errors
    /// The host has no way there, or forbids pings.
    pub fn open(ends: Ends, to: SocketAddr, now: Instant) -> io::Result<Self> {
        let domain = Domain::for_address(to);
        let protocol = match (ends.protocol, to) {
            (Protocol::Ping, SocketAddr::V4(_)) => IpProtocol::ICMPV4,
            (Protocol::Ping, SocketAddr::V6(_)) => IpProtocol::ICMPV6,
            _ => IpProtocol::UDP,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.connect(&to.into())?;
        Ok(Self { ends, socket, last_used: now, uncounted: (0, 0), may_fragment: true, last: Vec::new() })
    }

    /// Sends what the guest has sent.
    ///
    /// # Errors
    /// The host can't send it, or has an answer that nobody was there for an earlier one.
    pub fn send(&mut self, datagram: &Datagram<'_>, now: Instant) -> io::Result<()> {
        // If not, the guest finds out what the way carries, as it would without this process. But what is too large for
        // most networks, a guest on one of them makes fragments of, and loses nothing.
        let may_fragment = datagram.may_fragment || datagram.packet.len() > link::USUAL_MTU;
        if self.may_fragment != may_fragment {
            self.may_fragment = may_fragment;
            path_mtu::set_fragments(&self.socket, self.ends.remote.is_ipv4(), self.may_fragment);
        }
        self.write(datagram.payload, datagram.packet, now)
    }

    fn write(&mut self, payload: &[u8], packet: &[u8], now: Instant) -> io::Result<()> {
        self.last_used = now;
        self.last.clear();
        self.last.extend(&packet[..packet.len().min(QUOTED)]);
        self.socket.send(payload)?;
        self.uncounted.0 += payload.len() as u64;
        Ok(())
    }

    /// Sends an echo request with this number.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub fn ping(&mut self, number: u16, data: &[u8], packet: &[u8], now: Instant) -> io::Result<()> {
        let message = icmp::echo_request(self.ends.remote.is_ipv4(), number, data);
        self.write(&message, packet, now)
    }

    /// The next frames for the guest; None if there is nothing to read.
    pub fn receive(&mut self, buffer: &mut [u8], now: Instant) -> Option<Vec<Vec<u8>>> {
        match (&self.socket).read(buffer) {
            Ok(length) => {
                self.last_used = now;
                self.uncounted.1 += length as u64;
                let bytes = &buffer[..length];
                let Ends { protocol, guest, remote } = self.ends;
                if protocol == Protocol::Ping {
                    return Some(reply(remote.ip(), guest.ip(), guest.port(), bytes).into_iter().collect());
                }
                Some(udp::datagram(remote, guest, bytes))
            }
            Err(e) => {
                let frame = self.went_nowhere(&e)?;
                Some(vec![frame])
            }
        }
    }

    /// The ICMP frame that reports a socket's error to the guest; None for an error that passes.
    pub fn went_nowhere(&self, error: &io::Error) -> Option<Vec<u8>> {
        let why = if error.raw_os_error() == Some(nix::libc::EMSGSIZE) {
            Unreachable::TooBig { mtu: path_mtu::of(&self.socket, self.ends.remote.is_ipv4())? }
        } else {
            why(error)?
        };
        icmp::unreachable(&self.last, why)
    }
}

/// The kind of unreachable (ICMP) that stands for a socket's error; None for an error that passes.
pub fn why(error: &io::Error) -> Option<Unreachable> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => None,
        io::ErrorKind::ConnectionRefused => Some(Unreachable::Port),
        io::ErrorKind::PermissionDenied => Some(Unreachable::Prohibited),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Some(Unreachable::Network),
        _ => Some(Unreachable::Host),
    }
}

/// The frame for an echo reply, as the host's socket delivers it: on macOS with the IPv4 header.
fn reply(from: IpAddr, to: IpAddr, id: u16, bytes: &[u8]) -> Option<Vec<u8>> {
    let message = match bytes.first()? {
        0x45..=0x4f if from.is_ipv4() => bytes.get(usize::from(bytes[0] & 15) * 4..)?,
        _ => bytes,
    };
    let expected = if from.is_ipv4() { 0 } else { 129 };
    if *message.first()? != expected {
        return None;
    }
    let number = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
    icmp::echo_reply(from, to, id, number, &message[8..])
}

/// All that are open.
#[derive(Default)]
pub struct Exchanges {
    by_key: HashMap<usize, Exchange>,
    keys: HashMap<Ends, usize>,
}

impl Exchanges {
    pub fn key(&self, ends: &Ends) -> Option<usize> {
        self.keys.get(ends).copied()
    }

    pub fn get(&mut self, key: usize) -> Option<&mut Exchange> {
        self.by_key.get_mut(&key)
    }

    pub fn add(&mut self, key: usize, exchange: Exchange) {
        self.keys.insert(exchange.ends, key);
        self.by_key.insert(key, exchange);
    }

    pub fn remove(&mut self, key: usize) -> Option<Exchange> {
        let removed = self.by_key.remove(&key)?;
        self.keys.remove(&removed.ends);
        Some(removed)
    }

    /// Those that nothing went through for long, and the oldest if there is no space for another one.
    pub fn to_close(&self, now: Instant) -> Vec<usize> {
        let idle = |exchange: &&Exchange| now.duration_since(exchange.last_used) > IDLE;
        let mut keys: Vec<usize> =
            self.by_key.iter().filter(|(_, it)| idle(it)).map(|(key, _)| *key).collect();
        if keys.is_empty() && self.by_key.len() >= MOST {
            keys.extend(self.by_key.iter().min_by_key(|(_, it)| it.last_used).map(|(key, _)| *key));
        }
        keys
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The keys of all, with where they lead.
    pub fn destinations(&self) -> Vec<(usize, Destination)> {
        self.by_key.iter().map(|(key, exchange)| (*key, exchange.ends.destination())).collect()
    }
}
