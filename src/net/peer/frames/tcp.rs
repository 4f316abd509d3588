//! The answer to a TCP segment that no connection is for.

use super::packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use std::net::IpAddr;

/// Refuses a connection: the answer to the IP packet with a TCP segment that no connection is for (RFC 9293, 3.5.2).
pub fn reset(original: &[u8]) -> Option<Vec<u8>> {
    let (from, to, payload): (IpAddr, IpAddr, _) = match original.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(original).ok()?;
            (packet.src_addr().into(), packet.dst_addr().into(), packet.payload())
        }
        6 => {
            let packet = Ipv6Packet::new_checked(original).ok()?;
            (packet.src_addr().into(), packet.dst_addr().into(), packet.payload())
        }
        _ => return None,
    };
    let segment = TcpPacket::new_checked(payload).ok()?;
    let (seq_number, ack_number) = if segment.ack() {
        (segment.ack_number(), None)
    } else {
        (TcpSeqNumber(0), Some(segment.seq_number() + segment.segment_len()))
    };
    let tcp = TcpRepr {
        src_port: segment.dst_port(),
        dst_port: segment.src_port(),
        control: TcpControl::Rst,
        seq_number,
        ack_number,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    Some(packet(to, from, IpProtocol::Tcp, tcp.buffer_len(), |bytes| {
        let (from, to) = (IpAddress::from(to), IpAddress::from(from));
        tcp.emit(&mut TcpPacket::new_unchecked(bytes), &from, &to, &ChecksumCapabilities::default());
    }))
}
