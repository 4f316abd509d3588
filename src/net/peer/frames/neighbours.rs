//! What the guest asks about its network: who has an address (ARP, RFC 4861), and where the router is.

use super::{header, icmp};
use crate::net::link::{GUEST, GUEST_MAC, HEADER, MTU, PEER_MAC, PREFIX, ROUTER};
use smoltcp::time::Duration;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Repr,
    NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
};
use std::net::{Ipv4Addr, Ipv6Addr};

pub fn arp_reply(address: Ipv4Addr) -> Vec<u8> {
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: PEER_MAC,
        source_protocol_addr: address,
        target_hardware_addr: GUEST_MAC,
        target_protocol_addr: GUEST,
    };
    let mut frame = vec![0; HEADER + arp.buffer_len()];
    header(&mut frame, EthernetProtocol::Arp);
    arp.emit(&mut ArpPacket::new_unchecked(&mut frame[HEADER..]));
    frame
}

/// The peer has this address. To one who has no address itself yet, nothing is to be said.
pub fn neighbour(to: Ipv6Addr, address: Ipv6Addr) -> Option<Vec<u8>> {
    if to.is_unspecified() {
        return None;
    }
    let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(PEER_MAC.into()),
    });
    Some(icmp::v6(address, to, &message))
}

/// The router, and the prefix of which the guest makes its address.
pub fn router(to: Ipv6Addr) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
    let message = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        // The longest there is (RFC 4861); the guest asks again after it.
        router_lifetime: Duration::from_secs(9000),
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: Some(PEER_MAC.into()),
        mtu: Some(MTU as u32),
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: 64,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: FOR_EVER,
            preferred_lifetime: FOR_EVER,
            prefix: PREFIX,
        }),
    });
    let to = if to.is_unspecified() { ALL_NODES } else { to };
    let mut frame = icmp::v6(ROUTER, to, &message);
    if to == ALL_NODES {
        EthernetFrame::new_unchecked(&mut frame).set_dst_addr(EthernetAddress([0x33, 0x33, 0, 0, 0, 1]));
    }
    frame
}
