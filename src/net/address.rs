//! Which part of the network an address belongs to. Pure, and the same for every spelling of an address: those of IPv6
//! that contain an IPv4 address are what that one is.
//!
//! Sources: the IANA registries of special-purpose addresses (RFC 6890 and its updates), and the cloud providers' pages on
//! their metadata services.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// A part of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The public internet, and the ranges that are for documentation.
    Public,
    /// Private and unique local addresses: the host's own networks.
    Private,
    /// Shared between a provider's customers (RFC 6598).
    Shared,
    /// Of this link alone.
    LinkLocal,
    /// Where a cloud gives a machine its own secrets.
    Metadata,
    /// For no single computer.
    Multicast,
    /// For protocols, tests, and the future.
    Reserved,
    /// The machine itself.
    Host,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Shared => "an address of a provider's own network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of cloud metadata",
            Self::Multicast => "a multicast or broadcast address",
            Self::Reserved => "a reserved address",
            Self::Host => "this machine",
        })
    }
}

pub fn class(address: IpAddr) -> Class {
    match address.to_canonical() {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

/// Outside the link-local range: the wire server of Azure, Alibaba's and Oracle's metadata.
const METADATA_V4: &[Ipv4Addr] =
    &[Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

fn class_v4(address: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&address) {
        return Class::Metadata;
    }
    match address.octets() {
        [0 | 127, ..] => Class::Host,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Shared,
        // Amazon's, Google's, Azure's, and what containers of Amazon ask.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => Class::Metadata,
        [169, 254, ..] => Class::LinkLocal,
        // Protocol assignments, relays of 6to4, benchmarks.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Class::Reserved,
        [224..=239, ..] | [255, 255, 255, 255] => Class::Multicast,
        [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    if address.is_loopback() || address.is_unspecified() {
        return Class::Host;
    }
    let segments = address.segments();
    let [.., high, low] = segments;
    let tail = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    // With a public address in it, it is a public one; else it is what that one is.
    let inside = |embedded| class_v4(embedded);
    match segments {
        // IPv4-compatible (RFC 4291), translated (RFC 2765).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] => inside(tail).max(Class::Reserved),
        // NAT64 (RFC 6052); the second one is for a network's own use (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => inside(tail),
        [0x64, 0xff9b, 1, ..] => inside(tail).max(Class::Private),
        // Amazon's, Google's.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Class::Metadata,
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        // Site-local (RFC 3879): what QEMU's user network gave its guests.
        [0xfec0..=0xfeff, ..] => Class::Private,
        [0xff00..=0xffff, ..] => Class::Multicast,
        // 6to4 (RFC 3056).
        [0x2002, one, two, ..] => inside(Ipv4Addr::from(u32::from(one) << 16 | u32::from(two))),
        // Teredo (RFC 4380), benchmarks, ORCHID and other protocols.
        [0x2001, 0..=0x1ff, ..] => Class::Reserved,
        // Documentation (RFC 9637).
        [0x3fff, 0..=0xfff, ..] => Class::Public,
        // ISATAP (RFC 5214): the last part of any network's address.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, ..] => inside(tail),
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_address_has_its_class_in_every_spelling() {
        for (class_of, addresses) in [
            (
                Class::Public,
                &[
                    "1.1.1.1",
                    "8.8.8.8",
                    "11.0.0.1",
                    "172.15.0.1",
                    "172.32.0.1",
                    "192.167.0.1",
                    "100.63.0.1",
                    "100.128.0.1",
                    "169.253.0.1",
                    "192.0.1.1",
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.7",
                    "198.17.0.1",
                    "198.20.0.1",
                    "223.255.255.255",
                    "2606:4700::1111",
                    "2001:4860::8888",
                    "2001:db8::1",
                    "2001:200::1",
                    "3fff:fff::1",
                    "::ffff:8.8.8.8",
                    "64:ff9b::8.8.8.8",
                    "2002:808:808::1",
                    "2600::5efe:8.8.8.8",
                ][..],
            ),
            (
                Class::Host,
                &[
                    "127.0.0.1",
                    "127.255.255.254",
                    "0.0.0.0",
                    "0.1.2.3",
                    "::1",
                    "::",
                    "::ffff:127.0.0.1",
                    "::ffff:0.0.0.0",
                    "::127.0.0.1",
                    "::ffff:0:127.0.0.1",
                    "64:ff9b::127.0.0.1",
                    "64:ff9b::0.0.0.0",
                    "64:ff9b:1::127.0.0.1",
                    "2002:7f00:1::",
                    "2002:0:0::1",
                    "2600::5efe:127.0.0.1",
                ],
            ),
            (
                Class::Private,
                &[
                    "10.0.0.1",
                    "10.0.2.2",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "fc00::1",
                    "fd12::1",
                    "fec0::2",
                    "feff::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::192.168.0.1",
                    "64:ff9b:1::8.8.8.8",
                    "2002:a00:1::1",
                    "2600::200:5efe:10.0.0.1",
                ],
            ),
            (Class::Shared, &["100.64.0.1", "100.127.255.255", "::ffff:100.64.0.1", "64:ff9b::100.64.0.1"]),
            (
                Class::LinkLocal,
                &["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "::ffff:169.254.1.1"],
            ),
            (
                Class::Metadata,
                &[
                    "169.254.169.254",
                    "169.254.170.2",
                    "168.63.129.16",
                    "100.100.100.200",
                    "192.0.0.192",
                    "fd00:ec2::254",
                    "fd20:ce::254",
                    "::ffff:169.254.169.254",
                    "64:ff9b::169.254.169.254",
                    "2002:a9fe:a9fe::1",
                ],
            ),
            (Class::Multicast, &["224.0.0.1", "239.1.2.3", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"]),
            (
                Class::Reserved,
                &[
                    "192.0.0.1",
                    "192.88.99.1",
                    "198.18.0.1",
                    "198.19.255.255",
                    "240.0.0.1",
                    "255.255.255.254",
                    "2001::1",
                    "2001:0:7f00:1::",
                    "2001:2::1",
                    "2001:20::1",
                    "100::1",
                    "::8.8.8.8",
                    "5f00::1",
                    "4000::1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(class(address.parse().unwrap()), class_of, "{address}");
            }
        }
    }

    proptest! {
        /// However an IPv4 address is wrapped, no address becomes more public by it.
        #[test]
        fn no_spelling_of_an_address_is_more_public_than_the_address(bits: u32, network in 0x2000u16..0x4000) {
            let v4 = Ipv4Addr::from(bits);
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            let mapped = class(v4.to_ipv6_mapped().into());
            prop_assert_eq!(mapped, class(v4.into()));
            for wrapped in [
                [0, 0, 0, 0, 0, 0, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x64, 0xff9b, 1, 0, 0, 0, high, low],
                [0x2002, high, low, 0, 0, 0, 0, 1],
                [network, 0x300, 0, 0, 0, 0x5efe, high, low],
            ] {
                let wrapped = Ipv6Addr::from(wrapped);
                prop_assert!(class(wrapped.into()) >= class(v4.into()) || class(wrapped.into()) != Class::Public, "{}", wrapped);
            }
        }

        #[test]
        fn only_the_global_range_of_ipv6_is_public(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let is_global = address.segments()[0] & 0xe000 == 0x2000;
            let is_nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            let is_mapped = address.to_ipv4_mapped().is_some();
            prop_assert!(is_global || is_nat64 || is_mapped || class(address.into()) != Class::Public);
        }

        #[test]
        fn the_networks_of_a_home_and_a_company_are_never_public(a: u8, b: u8, c: u8, half in 16u8..32) {
            for octets in [[10, a, b, c], [192, 168, a, b], [172, half, a, b], [127, a, b, c], [169, 254, a, b], [0, a, b, c]] {
                prop_assert_ne!(class(IpAddr::from(octets)), Class::Public);
            }
        }
    }
}
