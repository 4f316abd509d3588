//! Datagrams to the guest, and their fragments.

use super::packet;
use crate::net::link::{HEADER, USUAL_MTU};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, UdpPacket, UdpRepr};
use std::net::{IpAddr, SocketAddr};

/// A datagram to the guest, in as many fragments as any guest needs: a connection's ends tell each other how much they
/// take, a datagram's do not.
pub fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<Vec<u8>> {
    let length = 8 + payload.len();
    let header = if from.is_ipv4() { 20 } else { 40 };
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let fill = |bytes: &mut [u8]| {
        let (from, to) = (IpAddress::from(from.ip()), IpAddress::from(to.ip()));
        let mut packet = UdpPacket::new_unchecked(bytes);
        let write = |bytes: &mut [u8]| bytes.copy_from_slice(payload);
        udp.emit(&mut packet, &from, &to, payload.len(), write, &ChecksumCapabilities::default());
    };
    if header + length <= USUAL_MTU {
        return vec![packet(from.ip(), to.ip(), IpProtocol::Udp, length, fill)];
    }
    let mut whole = vec![0; length];
    fill(&mut whole);
    fragments(from.ip(), to.ip(), &whole)
}

/// The fragments of a datagram (RFC 791, 2.3; RFC 8200, 4.5).
fn fragments(from: IpAddr, to: IpAddr, whole: &[u8]) -> Vec<Vec<u8>> {
    /// The header of a fragment of IPv6.
    const EXTENSION: usize = 8;
    let header = if from.is_ipv4() { 20 } else { 40 + EXTENSION };
    // A multiple of eight, in which offsets are counted.
    let most = (USUAL_MTU - header) / 8 * 8;
    // One datagram's fragments have one number. What the number is, is of no meaning: those of two datagrams would have to be
    // on their way at once. This is the checksum.
    let number = [whole[6], whole[7]];
    let fragment = |(index, piece): (usize, &[u8])| {
        let offset = index * most;
        let is_last = offset + piece.len() == whole.len();
        if from.is_ipv6() {
            return packet(from, to, IpProtocol::Ipv6Frag, EXTENSION + piece.len(), |bytes| {
                bytes[0] = IpProtocol::Udp.into();
                bytes[2..4].copy_from_slice(&(offset as u16 | u16::from(!is_last)).to_be_bytes());
                bytes[6..EXTENSION].copy_from_slice(&number);
                bytes[EXTENSION..].copy_from_slice(piece);
            });
        }
        let mut frame = packet(from, to, IpProtocol::Udp, piece.len(), |bytes| bytes.copy_from_slice(piece));
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[HEADER..]);
        packet.set_dont_frag(false);
        packet.set_ident(u16::from_be_bytes(number));
        packet.set_frag_offset(offset as u16);
        packet.set_more_frags(!is_last);
        packet.fill_checksum();
        frame
    };
    whole.chunks(most).enumerate().map(fragment).collect()
}
