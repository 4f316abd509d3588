//! The guest's address and all that belongs to it (DHCP, RFC 2131).

use super::udp;
use crate::net::link::{GATEWAY, GUEST, GUEST_MAC, NETWORK_BITS, RESOLVER};
use crate::protocol::CARD_MTU;
use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame};
use std::net::Ipv4Addr;

/// The option with the MTU (RFC 2132, 5.1).
const INTERFACE_MTU: u8 = 26;

/// The answer to a DHCP message: the guest's one address.
pub fn reply(bytes: &[u8]) -> Option<Vec<u8>> {
    let packet_of_guest = DhcpPacket::new_checked(bytes).ok()?;
    let asked = DhcpRepr::parse(&packet_of_guest).ok()?;
    let message_type = match asked.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request if asked.requested_ip.is_some_and(|address| address != GUEST) => {
            DhcpMessageType::Nak
        }
        DhcpMessageType::Request => DhcpMessageType::Ack,
        _ => return None,
    };
    let is_given = message_type != DhcpMessageType::Nak;
    let mtu = [DhcpOption { kind: INTERFACE_MTU, data: &CARD_MTU.to_be_bytes() }];
    let reply = DhcpRepr {
        message_type,
        transaction_id: asked.transaction_id,
        secs: 0,
        client_hardware_address: GUEST_MAC,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: if is_given { GUEST } else { Ipv4Addr::UNSPECIFIED },
        server_ip: GATEWAY,
        router: is_given.then_some(GATEWAY),
        subnet_mask: is_given.then_some(Ipv4Addr::from(u32::MAX << (32 - NETWORK_BITS))),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: asked.broadcast,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: is_given.then(|| [RESOLVER].into_iter().collect()),
        max_size: None,
        lease_duration: is_given.then_some(24 * 3600),
        renew_duration: None,
        rebind_duration: None,
        additional_options: if is_given { &mtu } else { &[] },
    };
    let mut payload = vec![0; reply.buffer_len()];
    reply.emit(&mut DhcpPacket::new_unchecked(&mut payload[..])).ok()?;
    let to = if is_given && !asked.broadcast { GUEST } else { Ipv4Addr::BROADCAST };
    let mut frames = udp::datagram((GATEWAY, 67).into(), (to, 68).into(), &payload);
    let mut frame = frames.pop().expect("it fits into one");
    if to.is_broadcast() {
        EthernetFrame::new_unchecked(&mut frame).set_dst_addr(EthernetAddress::BROADCAST);
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{Ipv4Packet, UdpPacket};

    #[test]
    fn the_guest_gets_its_address_and_what_its_card_carries() {
        let question = DhcpRepr {
            message_type: DhcpMessageType::Discover,
            transaction_id: 7,
            secs: 0,
            client_hardware_address: GUEST_MAC,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; question.buffer_len()];
        question.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        let frame = reply(&bytes).unwrap();
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
        assert_eq!(packet.your_ip(), GUEST);
        let mtu = packet.options().find(|option| option.kind == INTERFACE_MTU).unwrap();
        assert_eq!(mtu.data, CARD_MTU.to_be_bytes());
    }
}
