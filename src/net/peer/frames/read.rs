//! What a frame of the guest is.

use crate::net::link::{GATEWAY, GUEST, GUEST_MAC, PEER_MAC, is_guests};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv6Packet, NdiscRepr, TcpPacket, UdpPacket,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A frame of the guest.
#[derive(Debug)]
pub enum Received<'a> {
    /// Who has this address?
    Arp(Ipv4Addr),
    /// The same for IPv6; `from` gets the answer.
    Solicitation {
        from: Ipv6Addr,
        target: Ipv6Addr,
    },
    RouterSolicitation {
        from: Ipv6Addr,
    },
    Segment(Segment<'a>),
    Datagram(Datagram<'a>),
    Echo(Echo<'a>),
    Dhcp(&'a [u8]),
    /// A part of a datagram or a ping.
    Fragment(Fragment<'a>),
}

/// A TCP segment, in the IP packet `packet`.
#[derive(Debug)]
pub struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// The first of a connection.
    pub opens: bool,
    pub resets: bool,
    pub packet: &'a [u8],
}

#[derive(Debug)]
pub struct Datagram<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: &'a [u8],
    pub packet: &'a [u8],
    /// Whether it may go on in fragments: it has come so, or does not forbid it.
    pub may_fragment: bool,
}

/// A part of an IP packet (RFC 791, 2.3; RFC 8200, 4.5).
#[derive(Debug)]
pub struct Fragment<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: IpProtocol,
    pub id: u32,
    /// The IP header.
    pub header: &'a [u8],
    /// Where its bytes belong in the payload, and whether others come behind it.
    pub offset: usize,
    pub is_last: bool,
    pub bytes: &'a [u8],
}

/// An echo request (ping).
#[derive(Debug)]
pub struct Echo<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    pub id: u16,
    pub number: u16,
    pub data: &'a [u8],
    pub packet: &'a [u8],
}

/// Reads a frame; None if it is nothing that the peer handles.
pub fn read(bytes: &[u8]) -> Option<Received<'_>> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    let to = frame.dst_addr();
    if frame.src_addr() != GUEST_MAC || !(to == PEER_MAC || to.is_broadcast() || to.is_multicast()) {
        return None;
    }
    let is_ours = to == PEER_MAC;
    match frame.ethertype() {
        EthernetProtocol::Arp => arp(frame.payload()),
        EthernetProtocol::Ipv4 => ipv4(frame.payload(), is_ours),
        EthernetProtocol::Ipv6 => ipv6(frame.payload(), is_ours),
        EthernetProtocol::Unknown(_) => None,
    }
}

fn arp(bytes: &[u8]) -> Option<Received<'_>> {
    let packet = ArpPacket::new_checked(bytes).ok()?;
    match ArpRepr::parse(&packet).ok()? {
        ArpRepr::EthernetIpv4 { operation: ArpOperation::Request, target_protocol_addr, .. } => {
            Some(Received::Arp(target_protocol_addr))
        }
        _ => None,
    }
}

fn ipv4(bytes: &[u8], is_ours: bool) -> Option<Received<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    // No options: none is of use between the two, and some choose a route.
    if packet.version() != 4 || packet.header_len() != 20 || !packet.verify_checksum() {
        return None;
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let bytes = &bytes[..usize::from(packet.total_len())];
    let (header, payload) = bytes.split_at(20);
    if packet.more_frags() || packet.frag_offset() != 0 {
        let protocol = packet.next_header();
        // TCP has segments for it.
        let is_usual = matches!(protocol, IpProtocol::Udp | IpProtocol::Icmp);
        let fragment = Fragment {
            from: from.into(),
            to: to.into(),
            protocol,
            id: packet.ident().into(),
            header,
            offset: packet.frag_offset().into(),
            is_last: !packet.more_frags(),
            bytes: payload,
        };
        return (is_ours && is_guests(from.into()) && is_usual).then_some(Received::Fragment(fragment));
    }
    if packet.next_header() == IpProtocol::Udp && is_dhcp(from, payload) {
        return Some(Received::Dhcp(UdpPacket::new_checked(payload).ok()?.payload()));
    }
    // What answers from the guest's loopback interface, to which the gateway alone leads.
    let is_led = from == Ipv4Addr::LOCALHOST && to == GATEWAY && packet.next_header() == IpProtocol::Tcp;
    if !is_ours || !(is_guests(from.into()) || is_led) {
        return None;
    }
    match packet.next_header() {
        IpProtocol::Icmp => {
            let packet = Icmpv4Packet::new_checked(payload).ok()?;
            match Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()? {
                Icmpv4Repr::EchoRequest { ident: id, seq_no: number, data } => {
                    let (from, to) = (from.into(), to.into());
                    Some(Received::Echo(Echo { from, to, id, number, data, packet: bytes }))
                }
                _ => None,
            }
        }
        protocol => {
            let may_fragment = !packet.dont_frag();
            transport(protocol, (from.into(), to.into()), bytes, payload, may_fragment)
        }
    }
}

fn is_dhcp(from: Ipv4Addr, datagram: &[u8]) -> bool {
    (from.is_unspecified() || from == GUEST)
        && UdpPacket::new_checked(datagram).is_ok_and(|udp| (udp.src_port(), udp.dst_port()) == (68, 67))
}

fn ipv6(bytes: &[u8], is_ours: bool) -> Option<Received<'_>> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    if packet.version() != 6 {
        return None;
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let bytes = &bytes[..packet.total_len()];
    let (header, payload) = bytes.split_at(40);
    if packet.next_header() == IpProtocol::Icmpv6 {
        let packet = Icmpv6Packet::new_checked(payload).ok()?;
        let repr = Icmpv6Repr::parse(&from, &to, &packet, &ChecksumCapabilities::default()).ok()?;
        return match repr {
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, .. }) => {
                Some(Received::Solicitation { from, target: target_addr })
            }
            Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { .. }) => Some(Received::RouterSolicitation { from }),
            Icmpv6Repr::EchoRequest { ident: id, seq_no: number, data }
                if is_ours && is_guests(from.into()) =>
            {
                let (from, to) = (from.into(), to.into());
                Some(Received::Echo(Echo { from, to, id, number, data, packet: bytes }))
            }
            _ => None,
        };
    }
    if !is_ours || !is_guests(from.into()) {
        return None;
    }
    if packet.next_header() == IpProtocol::Ipv6Frag {
        return ipv6_fragment((from, to), header, payload).map(Received::Fragment);
    }
    // Only the sender makes fragments (RFC 8200, 4.5), and this is none.
    transport(packet.next_header(), (from.into(), to.into()), bytes, payload, false)
}

fn ipv6_fragment<'a>(
    (from, to): (Ipv6Addr, Ipv6Addr),
    header: &'a [u8],
    payload: &'a [u8],
) -> Option<Fragment<'a>> {
    let (fragment, bytes) = payload.split_first_chunk::<8>()?;
    let protocol = IpProtocol::from(fragment[0]);
    let place = u16::from_be_bytes([fragment[2], fragment[3]]);
    let id = u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]);
    matches!(protocol, IpProtocol::Udp | IpProtocol::Icmpv6).then_some(Fragment {
        from: from.into(),
        to: to.into(),
        protocol,
        id,
        header,
        offset: usize::from(place & !7),
        is_last: place & 1 == 0,
        bytes,
    })
}

fn transport<'a>(
    protocol: IpProtocol,
    (from, to): (IpAddr, IpAddr),
    packet: &'a [u8],
    payload: &'a [u8],
    may_fragment: bool,
) -> Option<Received<'a>> {
    match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            let (from, to) = (SocketAddr::new(from, tcp.src_port()), SocketAddr::new(to, tcp.dst_port()));
            let opens = tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin();
            Some(Received::Segment(Segment { from, to, opens, resets: tcp.rst(), packet }))
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            let (from, to) = (SocketAddr::new(from, udp.src_port()), SocketAddr::new(to, udp.dst_port()));
            let valid = udp.verify_checksum(&from.ip().into(), &to.ip().into());
            valid.then_some(Received::Datagram(Datagram {
                from,
                to,
                payload: udp.payload(),
                packet,
                may_fragment,
            }))
        }
        _ => None,
    }
}
