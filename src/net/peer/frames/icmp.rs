//! Pings, and messages that a packet went nowhere (RFC 792, RFC 4443).

use super::packet;
use crate::net::link::{GATEWAY, GATEWAY_V6, MTU};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv4Repr, Icmpv6DstUnreachable, Icmpv6Message,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv6Packet,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of an ICMP message, with the MTU or nothing in its last four bytes.
const HEADER: usize = 8;

/// The answer to an echo request.
pub fn echo_reply(from: IpAddr, to: IpAddr, id: u16, number: u16, data: &[u8]) -> Option<Vec<u8>> {
    if data.len() + 48 > MTU {
        return None;
    }
    Some(match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            v4(from, to, &Icmpv4Repr::EchoReply { ident: id, seq_no: number, data })
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            v6(from, to, &Icmpv6Repr::EchoReply { ident: id, seq_no: number, data })
        }
        _ => return None,
    })
}

/// An echo request for a socket of the host: the kernel writes the identifier and, for IPv6, the checksum.
pub fn echo_request(is_ipv4: bool, number: u16, data: &[u8]) -> Vec<u8> {
    if is_ipv4 {
        let request = Icmpv4Repr::EchoRequest { ident: 0, seq_no: number, data };
        let mut message = vec![0; request.buffer_len()];
        request.emit(&mut Icmpv4Packet::new_unchecked(&mut message), &ChecksumCapabilities::default());
        return message;
    }
    let request = Icmpv6Repr::EchoRequest { ident: 0, seq_no: number, data };
    let mut message = vec![0; request.buffer_len()];
    let nobody = Ipv6Addr::UNSPECIFIED;
    let mut packet = Icmpv6Packet::new_unchecked(&mut message);
    request.emit(&nobody, &nobody, &mut packet, &ChecksumCapabilities::ignored());
    message
}

/// Why a packet of the guest's went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The policy forbids it.
    Prohibited,
    /// No way leads to the network.
    Network,
    Host,
    /// Nobody has the port.
    Port,
    /// The way carries no packet that is larger than this, and the guest does not want fragments.
    TooBig {
        mtu: u16,
    },
}

/// Says to the guest that its IP packet went nowhere; `original` is its beginning.
pub fn unreachable(original: &[u8], why: Unreachable) -> Option<Vec<u8>> {
    let mtu = if let Unreachable::TooBig { mtu } = why { mtu } else { 0 };
    let (from, to, protocol, most): (IpAddr, IpAddr, _, _) = match original.first()? >> 4 {
        // As much as every system wants (RFC 792).
        4 => {
            let to = Ipv4Packet::new_unchecked(original.get(..20)?).src_addr();
            (GATEWAY.into(), to.into(), IpProtocol::Icmp, 20 + 8)
        }
        // An error fits into the smallest MTU (RFC 4443).
        6 => {
            let to = Ipv6Packet::new_unchecked(original.get(..40)?).src_addr();
            (GATEWAY_V6.into(), to.into(), IpProtocol::Icmpv6, 1280 - 40 - HEADER)
        }
        _ => return None,
    };
    let original = &original[..original.len().min(most)];
    Some(packet(from, to, protocol, HEADER + original.len(), |bytes| {
        bytes[4..HEADER].copy_from_slice(&u32::from(mtu).to_be_bytes());
        bytes[HEADER..].copy_from_slice(original);
        match (from, to) {
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let unreachable =
                    |reason: Icmpv6DstUnreachable| (Icmpv6Message::DstUnreachable, reason.into());
                let (kind, code) = match why {
                    Unreachable::Prohibited => unreachable(Icmpv6DstUnreachable::AdminProhibit),
                    Unreachable::Network => unreachable(Icmpv6DstUnreachable::NoRoute),
                    Unreachable::Host => unreachable(Icmpv6DstUnreachable::AddrUnreachable),
                    Unreachable::Port => unreachable(Icmpv6DstUnreachable::PortUnreachable),
                    Unreachable::TooBig { .. } => (Icmpv6Message::PktTooBig, 0),
                };
                let mut message = Icmpv6Packet::new_unchecked(bytes);
                message.set_msg_type(kind);
                message.set_msg_code(code);
                message.fill_checksum(&from, &to);
            }
            _ => {
                let reason = match why {
                    Unreachable::Prohibited => Icmpv4DstUnreachable::CommProhibited,
                    Unreachable::Network => Icmpv4DstUnreachable::NetUnreachable,
                    Unreachable::Host => Icmpv4DstUnreachable::HostUnreachable,
                    Unreachable::Port => Icmpv4DstUnreachable::PortUnreachable,
                    Unreachable::TooBig { .. } => Icmpv4DstUnreachable::FragRequired,
                };
                let mut message = Icmpv4Packet::new_unchecked(bytes);
                message.set_msg_type(Icmpv4Message::DstUnreachable);
                message.set_msg_code(reason.into());
                message.fill_checksum();
            }
        }
    }))
}

pub fn v6(from: Ipv6Addr, to: Ipv6Addr, message: &Icmpv6Repr<'_>) -> Vec<u8> {
    packet(from.into(), to.into(), IpProtocol::Icmpv6, message.buffer_len(), |bytes| {
        let mut packet = Icmpv6Packet::new_unchecked(bytes);
        message.emit(&from, &to, &mut packet, &ChecksumCapabilities::default());
    })
}

pub fn v4(from: Ipv4Addr, to: Ipv4Addr, message: &Icmpv4Repr<'_>) -> Vec<u8> {
    packet(from.into(), to.into(), IpProtocol::Icmp, message.buffer_len(), |bytes| {
        message.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
    })
}
