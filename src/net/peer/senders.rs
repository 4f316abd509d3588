//! Programs of the host that send datagrams to a port of the guest, and what the guest replies. For the guest, each of them is a
//! port of the gateway. Bounded: the one that was used least recently goes when there are too many.

use super::datagrams::{IDLE, MOST};
use super::frames::udp;
use super::watch::Watch;
use crate::net::link::{GATEWAY, GUEST};
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// The first port of the gateway that stands for a sender.
const FIRST: u16 = 49_152;

#[derive(Default)]
pub struct Senders {
    published: HashMap<usize, Published>,
    by_port: HashMap<u16, Sender>,
    last_port: u16,
}

struct Published {
    socket: UdpSocket,
    guest: u16,
}

struct Sender {
    /// The port that it sends to.
    key: usize,
    address: SocketAddr,
    last_used: Instant,
}

impl Senders {
    /// From now on, what comes to this socket goes to a port of the guest.
    pub fn publish(&mut self, socket: OwnedFd, guest: u16, watch: &mut Watch) {
        self.close(guest, watch);
        let socket = UdpSocket::from(socket);
        if socket.set_nonblocking(true).is_ok() {
            let key = watch.key();
            watch.watch(key, &socket, (true, false));
            self.published.insert(key, Published { socket, guest });
        }
    }

    pub fn close(&mut self, guest: u16, watch: &mut Watch) {
        let key = self.published.iter().find(|(_, it)| it.guest == guest).map(|(key, _)| *key);
        if let Some(key) = key {
            watch.unwatch(key);
            self.published.remove(&key);
            self.by_port.retain(|_, sender| sender.key != key);
        }
    }

    pub fn has(&self, key: usize) -> bool {
        self.published.contains_key(&key)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_port.len()
    }

    /// The frames for the guest of the next datagram; None if there is none.
    pub fn receive(&mut self, key: usize, buffer: &mut [u8], now: Instant) -> Option<Vec<Vec<u8>>> {
        let Published { socket, guest } = self.published.get(&key)?;
        let (length, address) = socket.recv_from(buffer).ok()?;
        let to = (GUEST, *guest).into();
        let from = (GATEWAY, self.port(key, address, now)).into();
        Some(udp::datagram(from, to, &buffer[..length]))
    }

    /// The gateway's port that stands for a sender.
    fn port(&mut self, key: usize, address: SocketAddr, now: Instant) -> u16 {
        let known = self.by_port.iter_mut().find(|(_, it)| (it.key, it.address) == (key, address));
        if let Some((port, sender)) = known {
            sender.last_used = now;
            return *port;
        }
        if self.by_port.len() >= MOST {
            let oldest = self.by_port.iter().min_by_key(|(_, it)| it.last_used).map(|(port, _)| *port);
            oldest.map(|port| self.by_port.remove(&port));
        }
        // Fewer are in use than there are.
        loop {
            self.last_port = self.last_port.checked_add(1).unwrap_or(FIRST).max(FIRST);
            if !self.by_port.contains_key(&self.last_port) {
                self.by_port.insert(self.last_port, Sender { key, address, last_used: now });
                return self.last_port;
            }
        }
    }

    /// Passes on what the guest sends to a port of the gateway; false if nobody there has sent anything lately.
    pub fn reply(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8], now: Instant) -> bool {
        let Some(sender) = self.by_port.get_mut(&to.port()) else { return false };
        let Some(Published { socket, guest }) = self.published.get(&sender.key) else { return false };
        if !to.is_ipv4() || from.port() != *guest || now.duration_since(sender.last_used) > IDLE {
            return false;
        }
        sender.last_used = now;
        // A full socket loses it, as any network does.
        let _ = socket.send_to(payload, sender.address);
        true
    }
}
