//! Frames of the guest, one by one.

use super::guest::GUEST_V6;
use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, Icmpv4Repr, Icmpv6Repr, IpProtocol, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

/// A frame as the peer would send it, with both cards exchanged: then it is one of the guest's.
fn turned(mut frame: Vec<u8>) -> Vec<u8> {
    let mut header = EthernetFrame::new_unchecked(&mut frame);
    header.set_src_addr(link::GUEST_MAC);
    header.set_dst_addr(link::PEER_MAC);
    frame
}

/// An IP packet of the guest's, whose payload `fill` writes, as a frame.
pub fn frame(
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    turned(frames::packet(from, to, protocol, length, fill))
}

/// The first segment of a connection.
pub fn syn(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let tcp = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: Some(1400),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    frame(from.ip(), to.ip(), IpProtocol::Tcp, tcp.buffer_len(), |bytes| {
        let (from, to) = (from.ip().into(), to.ip().into());
        tcp.emit(&mut TcpPacket::new_unchecked(bytes), &from, &to, &ChecksumCapabilities::default());
    })
}

/// A datagram of the guest's, in as many fragments as it needs.
pub fn fragments(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<Vec<u8>> {
    frames::udp::datagram(from, to, payload).into_iter().map(turned).collect()
}

/// One that fits into a frame.
pub fn datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    fragments(from, to, payload).pop().unwrap()
}

/// The frame of an echo request with the identifier 7.
pub fn echo_request(to: IpAddr) -> Vec<u8> {
    echo_request_of(to, 1, 1)
}

pub fn echo_request_of(to: IpAddr, seq_no: u16, length: usize) -> Vec<u8> {
    let (ident, data) = (7, &vec![b'x'; length][..]);
    turned(match to {
        IpAddr::V4(to) => frames::icmp::v4(link::GUEST, to, &Icmpv4Repr::EchoRequest { ident, seq_no, data }),
        IpAddr::V6(to) => frames::icmp::v6(GUEST_V6, to, &Icmpv6Repr::EchoRequest { ident, seq_no, data }),
    })
}
