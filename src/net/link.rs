//! The cable between the guest's network card and its peer: addresses and sizes. The IPv4 ones are those of QEMU's user
//! network, which images are used to.

pub use crate::protocol::{GATEWAY, GUEST};

use crate::protocol::CARD_MTU;
use smoltcp::wire::EthernetAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// [`crate::protocol::GUEST_MAC`], in bytes.
pub const GUEST_MAC: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub const PEER_MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 10, 0, 2, 2]);

pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// Of the IPv4 network.
pub const NETWORK_BITS: u8 = 24;

/// A unique local prefix of 64 bits (RFC 4193). The guest makes addresses of it for itself.
pub const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd76, 0x6768, 0x6f73, 0x7400, 0, 0, 0, 0);
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd76, 0x6768, 0x6f73, 0x7400, 0, 0, 0, 2);
pub const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd76, 0x6768, 0x6f73, 0x7400, 0, 0, 0, 3);
/// From which the router advertises itself.
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// The largest IP packet.
pub const MTU: usize = CARD_MTU as usize;
/// The largest one that every guest takes, also one whose kernel does not ask the card.
pub const USUAL_MTU: usize = 1500;
/// Of a frame, before its packet.
pub const HEADER: usize = 14;

/// The guest's own addresses: what comes from another one is forged.
pub fn is_guests(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == GUEST,
        IpAddr::V6(address) => {
            address.segments()[..4] == PREFIX.segments()[..4]
                && address != GATEWAY_V6
                && address != RESOLVER_V6
        }
    }
}

/// The peer's addresses that stand for the host.
pub fn is_gateway(address: IpAddr) -> bool {
    address == IpAddr::V4(GATEWAY) || address == IpAddr::V6(GATEWAY_V6)
}

/// Where the peer answers DNS questions.
pub fn is_resolver(address: IpAddr) -> bool {
    address == IpAddr::V4(RESOLVER) || address == IpAddr::V6(RESOLVER_V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_card_has_the_address_on_qemus_command_line() {
        assert_eq!(GUEST_MAC.to_string().replace('-', ":"), crate::protocol::GUEST_MAC);
    }

    #[test]
    fn only_the_guests_own_addresses_are_no_forgery() {
        for (address, is_own) in [
            ("10.0.2.15", true),
            ("10.0.2.2", false),
            ("192.168.1.1", false),
            ("fd76:6768:6f73:7400:5054:ff:fe12:3456", true),
            ("fd76:6768:6f73:7400::2", false),
            ("fd76:6768:6f73:7401::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_guests(address.parse().unwrap()), is_own, "{address}");
        }
    }
}
