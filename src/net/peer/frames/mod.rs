//! Frames: what one from the guest is (`read`), and how the peer's own are made. Pure. Everything that the guest sends is
//! hostile; what is not exactly as expected is dropped.

pub mod dhcp;
pub mod icmp;
pub mod neighbours;
mod read;
pub mod tcp;
pub mod udp;

pub use read::{Datagram, Echo, Fragment, Received, Segment, read};

use crate::net::link::{GUEST_MAC, HEADER, PEER_MAC};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, IpRepr};
use std::net::IpAddr;

/// Writes the header of a frame to the guest.
pub fn header(frame: &mut [u8], ethertype: EthernetProtocol) {
    let header = EthernetRepr { src_addr: PEER_MAC, dst_addr: GUEST_MAC, ethertype };
    header.emit(&mut EthernetFrame::new_unchecked(frame));
}

/// A frame to the guest with an IP packet between two addresses of one family, whose payload `fill` writes.
pub fn packet(
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    // Messages about neighbours must show that they have passed no router (RFC 4861); for the others it is of no meaning.
    const HOPS: u8 = 255;
    let ip = IpRepr::new(from.into(), to.into(), protocol, length, HOPS);
    let mut frame = vec![0; HEADER + ip.buffer_len()];
    header(&mut frame, if from.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 });
    ip.emit(&mut frame[HEADER..], &ChecksumCapabilities::default());
    fill(&mut frame[HEADER + ip.header_len()..]);
    frame
}
