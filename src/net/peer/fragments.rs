//! Packets of the guest that come in fragments: kept until they are whole. Bounded in number, bytes and time; fragments that
//! overlap, which no system sends, end their packet (RFC 5722).

use super::frames::Fragment;
use crate::net::link::{GUEST_MAC, HEADER, PEER_MAC};
use smoltcp::wire::{EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv6Packet};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many packets are kept at once; the oldest goes for another one.
pub const MOST: usize = 8;

/// So many fragments make a packet: a datagram of 64 KiB has 45, and twice as many if the guest's MTU is small.
const FRAGMENTS: usize = 128;

/// So long they are waited for (RFC 791 recommends 15 s).
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A length is a number of 16 bits: for IPv4 with the header, for IPv6 without.
const LONGEST: usize = u16::MAX as usize;

#[derive(Default)]
pub struct Fragments(HashMap<Of, Assembly>);

/// What the fragments of one packet have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Of {
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    id: u32,
}

struct Assembly {
    began: Instant,
    /// The IP header of the first fragment.
    header: Vec<u8>,
    payload: Vec<u8>,
    /// The fragments that are there: where each begins, and where it ends.
    there: BTreeMap<usize, usize>,
    /// The length of the payload, once the last fragment is there.
    length: Option<usize>,
}

impl Fragments {
    /// Adds a fragment; the frame with the whole packet, if it was the last one missing.
    pub fn add(&mut self, fragment: &Fragment<'_>, now: Instant) -> Option<Vec<u8>> {
        self.0.retain(|_, it| now.duration_since(it.began) < PATIENCE);
        let &Fragment { from, to, protocol, id, .. } = fragment;
        let of = Of { from, to, protocol, id };
        if self.0.len() >= MOST && !self.0.contains_key(&of) {
            let oldest = self.0.iter().min_by_key(|(_, it)| it.began).map(|(of, _)| *of);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let assembly = self.0.entry(of).or_insert_with(|| Assembly::new(now));
        if assembly.add(fragment).is_none() {
            self.0.remove(&of);
            return None;
        }
        if !assembly.is_whole() {
            return None;
        }
        self.0.remove(&of).map(|assembly| assembly.frame(protocol))
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Assembly {
    fn new(began: Instant) -> Self {
        Self { began, header: Vec::new(), payload: Vec::new(), there: BTreeMap::new(), length: None }
    }

    /// None: this is no packet.
    fn add(&mut self, fragment: &Fragment<'_>) -> Option<()> {
        let &Fragment { header, offset: start, is_last, bytes, .. } = fragment;
        let end = start + bytes.len();
        if self.there.get(&start) == Some(&end) {
            // It was sent twice.
            return Some(());
        }
        let before = self.there.range(..end).next_back();
        let overlaps = before.is_some_and(|(_, end_of_other)| *end_of_other > start);
        let is_behind_the_last = self.length.is_some_and(|length| is_last || end > length);
        // All but the last one end where another can begin.
        let is_odd = bytes.is_empty() || !is_last && bytes.len() % 8 != 0;
        let counted = if fragment.from.is_ipv4() { header.len() + end } else { end };
        let is_too_long = counted > LONGEST || self.there.len() >= FRAGMENTS;
        if overlaps || is_behind_the_last || is_odd || is_too_long {
            return None;
        }
        if is_last {
            if self.payload.len() > end {
                return None;
            }
            self.length = Some(end);
        }
        if start == 0 {
            self.header = header.to_vec();
        }
        self.payload.resize(self.payload.len().max(end), 0);
        self.payload[start..end].copy_from_slice(bytes);
        self.there.insert(start, end);
        Some(())
    }

    /// None overlaps another, so their lengths tell.
    fn is_whole(&self) -> bool {
        let held: usize = self.there.iter().map(|(start, end)| end - start).sum();
        self.length == Some(held)
    }

    /// The frame that the guest would have sent on a cable for larger ones.
    fn frame(self, protocol: IpProtocol) -> Vec<u8> {
        let Self { header, payload, .. } = self;
        let is_ipv4 = header[0] >> 4 == 4;
        let ethertype = if is_ipv4 { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
        let ethernet = EthernetRepr { src_addr: GUEST_MAC, dst_addr: PEER_MAC, ethertype };
        let mut frame = vec![0; HEADER];
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
        frame.extend(&header);
        frame.extend(&payload);
        if is_ipv4 {
            let mut packet = Ipv4Packet::new_unchecked(&mut frame[HEADER..]);
            packet.set_total_len((header.len() + payload.len()) as u16);
            packet.set_more_frags(false);
            packet.set_frag_offset(0);
            packet.fill_checksum();
        } else {
            let mut packet = Ipv6Packet::new_unchecked(&mut frame[HEADER..]);
            packet.set_payload_len(payload.len() as u16);
            packet.set_next_header(protocol);
        }
        frame
    }
}
