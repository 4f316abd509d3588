//! Datagrams and pings of the guest, and what comes back.

use super::datagrams::{self, Exchange};
use super::frames::icmp::{self, Unreachable};
use super::frames::{Datagram, Echo};
use super::resolver::Client;
use super::{BURST, Peer};
use crate::net::link;
use crate::net::policy::Protocol;
use std::net::SocketAddr;
use std::time::Instant;

impl Peer {
    pub(super) fn on_datagram(&mut self, datagram: &Datagram<'_>, now: Instant) {
        let Datagram { from, to, payload, packet, .. } = *datagram;
        if link::is_resolver(to.ip()) && to.port() == 53 {
            return self.on_question(Client::Udp { from, to }, payload, now);
        }
        if link::is_gateway(to.ip()) && self.senders.reply(from, to, payload, now) {
            return;
        }
        let ends = datagrams::Ends { protocol: Protocol::Udp, guest: from, remote: to };
        if let Some(key) = self.exchange(ends, packet, now)
            && let Some(exchange) = self.exchanges.get(key)
            && let Err(e) = exchange.send(datagram, now)
        {
            let told = exchange.went_nowhere(&e);
            self.send(told);
        }
    }

    pub(super) fn on_echo(&mut self, echo: &Echo<'_>, now: Instant) {
        let Echo { from, to, id, number, data, packet } = *echo;
        if link::is_gateway(to) || link::is_resolver(to) {
            return self.send(icmp::echo_reply(to, from, id, number, data));
        }
        let ends = datagrams::Ends {
            protocol: Protocol::Ping,
            guest: SocketAddr::new(from, id),
            remote: SocketAddr::new(to, 0),
        };
        if let Some(key) = self.exchange(ends, packet, now)
            && let Some(exchange) = self.exchanges.get(key)
            && let Err(e) = exchange.ping(number, data, packet, now)
        {
            let told = exchange.went_nowhere(&e);
            self.send(told);
        }
    }

    /// The exchange of these ends: an open one, or a new one if the policy opens it.
    fn exchange(&mut self, ends: datagrams::Ends, packet: &[u8], now: Instant) -> Option<usize> {
        if let Some(key) = self.exchanges.key(&ends) {
            return Some(key);
        }
        let to = ends.destination();
        let place = match self.places(&to, now) {
            Ok(places) => places[0],
            Err(refusal) => {
                self.send(icmp::unreachable(packet, Unreachable::Prohibited));
                self.record.refuse(&to, &refusal, &mut self.launcher);
                return None;
            }
        };
        if self.exchanges.len() >= datagrams::MOST {
            for key in self.exchanges.to_close(now) {
                self.close_exchange(key);
            }
        }
        match Exchange::open(ends, place, now) {
            Ok(exchange) => {
                let key = self.watch.key();
                self.watch.watch(key, &exchange.socket, (true, false));
                self.watch.set_deadline(key, Some(now + datagrams::IDLE));
                self.exchanges.add(key, exchange);
                self.record.open(to, &self.names, now, &mut self.launcher);
                Some(key)
            }
            Err(e) => {
                let why = datagrams::why(&e).unwrap_or(Unreachable::Host);
                self.send(icmp::unreachable(packet, why));
                None
            }
        }
    }

    pub(super) fn close_exchange(&mut self, key: usize) {
        // Before the socket is closed.
        self.watch.forget(key);
        self.count_exchange(key);
        if let Some(exchange) = self.exchanges.remove(key) {
            self.record.close(exchange.ends.destination());
        }
    }

    fn count_exchange(&mut self, key: usize) {
        if let Some(exchange) = self.exchanges.get(key) {
            let bytes = std::mem::take(&mut exchange.uncounted);
            self.record.count(exchange.ends.destination(), bytes);
        }
    }

    pub(super) fn on_exchange(&mut self, key: usize, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BURST {
            let Some(exchange) = self.exchanges.get(key) else { break };
            let Some(frames) = exchange.receive(&mut buffer, now) else { break };
            self.send(frames);
        }
        self.buffer = buffer;
        self.count_exchange(key);
    }

    /// Programs of the host have sent something to a port that leads to the guest.
    pub(super) fn on_sender(&mut self, key: usize, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BURST {
            let Some(frames) = self.senders.receive(key, &mut buffer, now) else { break };
            self.send(frames);
        }
        self.buffer = buffer;
    }

    /// The deadline of an exchange: it is closed if nothing went through it for long.
    pub(super) fn on_idle(&mut self, key: usize, now: Instant) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let until = exchange.last_used + datagrams::IDLE;
        if until <= now {
            self.close_exchange(key);
        } else {
            self.watch.set_deadline(key, Some(until));
        }
    }
}
