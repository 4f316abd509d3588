//! What the guest sends: each frame goes to where it is handled.

use super::frames::{self, Received, dhcp, neighbours};
use super::{BURST, CARD, Peer, ROUTER};
use crate::net::link;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

/// The time between two advertisements of the router: the longest that is usual (RFC 4861, MaxRtrAdvInterval).
const ADVERTISEMENTS: Duration = Duration::from_secs(600);

impl Peer {
    /// From now on the guest's frames are read.
    pub(super) fn open_card(&mut self, now: Instant) {
        self.card.with_socket(|socket| self.watch.watch(CARD, &socket, (true, false)));
        self.advertise(now);
    }

    pub(super) fn on_card(&mut self, readable: bool, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..if readable { BURST } else { 0 } {
            let Some(length) = self.card.receive(&mut buffer) else { break };
            self.on_frame(&buffer[..length], now);
        }
        self.buffer = buffer;
    }

    /// Handles one frame of the guest.
    pub fn on_frame(&mut self, frame: &[u8], now: Instant) {
        self.on_received(frames::read(frame), now);
    }

    fn on_received(&mut self, received: Option<Received<'_>>, now: Instant) {
        match received {
            // For the whole network, so that what nobody has is refused at once.
            Some(Received::Arp(address))
                if address != link::GUEST && address.octets()[..3] == link::GUEST.octets()[..3] =>
            {
                self.card.send(neighbours::arp_reply(address));
            }
            Some(Received::Solicitation { from, target })
                if [link::ROUTER, link::GATEWAY_V6, link::RESOLVER_V6].contains(&target) =>
            {
                self.send(neighbours::neighbour(from, target));
            }
            Some(Received::RouterSolicitation { from }) => self.card.send(neighbours::router(from)),
            Some(Received::Dhcp(message)) => self.send(dhcp::reply(message)),
            Some(Received::Segment(segment)) => self.on_segment(&segment, now),
            Some(Received::Datagram(datagram)) => self.on_datagram(&datagram, now),
            Some(Received::Echo(echo)) => self.on_echo(&echo, now),
            Some(Received::Fragment(fragment)) => {
                let Some(whole) = self.fragments.add(&fragment, now) else { return };
                let mut received = frames::read(&whole);
                if let Some(Received::Datagram(datagram)) = &mut received {
                    datagram.may_fragment = true;
                }
                self.on_received(received, now);
            }
            // Of the guest itself, or of nobody here.
            Some(Received::Arp(_) | Received::Solicitation { .. }) | None => {}
        }
    }

    pub(super) fn send(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        frames.into_iter().for_each(|frame| self.card.send(frame));
    }

    /// Says to all that the router is there: a guest that was saved long ago may have given it up.
    pub(super) fn advertise(&mut self, now: Instant) {
        self.card.send(neighbours::router(Ipv6Addr::UNSPECIFIED));
        self.watch.set_deadline(ROUTER, Some(now + ADVERTISEMENTS));
    }
}
