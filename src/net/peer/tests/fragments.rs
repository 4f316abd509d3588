//! Datagrams of the guest that are larger than its packets.

use super::floods::peer;
use super::guest::GUEST_V6;
use super::packets::fragments;
use super::*;
use crate::net::peer::fragments::{MOST, PATIENCE};
use smoltcp::wire::Ipv4Packet;

const V4: &str = "203.0.113.7:9";
const V6: &str = "[2001:db8::7]:9";

/// A peer without a thread, with a server that is both places.
fn scene() -> (Peer, UnixDatagram, UnixStream, UdpSocket) {
    let (mut peer, cable, control) = peer(Net::Public);
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let place = server.local_addr().unwrap();
    peer.outside.detours = [V4, V6].map(|from| (address(from), place)).into();
    (peer, cable, control, server)
}

fn large(to: &str, length: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let payload: Vec<u8> = (0..length).map(|number| (number * 7 % 251) as u8).collect();
    let to = address(to);
    let from: IpAddr = if to.is_ipv4() { link::GUEST.into() } else { GUEST_V6.into() };
    let frames = fragments((from, 5000).into(), to, &payload);
    (payload, frames)
}

fn received(server: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    let length = server.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// The fields of a fragment of IPv4 that say where it belongs.
fn change(frame: &[u8], change: impl FnOnce(&mut Ipv4Packet<&mut [u8]>)) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[link::HEADER..]);
    change(&mut packet);
    packet.fill_checksum();
    frame
}

#[test]
fn a_datagram_in_fragments_arrives_whole_in_whatever_order_they_come() {
    let (mut peer, _cable, _control, server) = scene();
    let now = Instant::now();
    for to in [V4, V6] {
        // The largest one that the host can send on.
        for length in [1600, 20_000, 65_507] {
            let (payload, frames) = large(to, length);
            assert!(frames.len() > 1);
            frames.iter().for_each(|frame| peer.on_frame(frame, now));
            assert!(received(&server).as_ref() == Some(&payload), "{to} {length}");
            frames.iter().rev().for_each(|frame| peer.on_frame(frame, now));
            assert!(received(&server).as_ref() == Some(&payload), "{to} {length} backwards");
            // Each one twice.
            for frame in frames.iter().flat_map(|frame| [frame, frame]) {
                peer.on_frame(frame, now);
            }
            assert!(received(&server).as_ref() == Some(&payload), "{to} {length} twice");
            peer.fragments = Default::default();
        }
    }
}

#[test]
fn a_datagram_to_the_guest_comes_in_packets_that_every_guest_takes() {
    for to in [V4, V6] {
        let (_, frames) = large(to, 20_000);
        assert!(frames.iter().all(|frame| frame.len() <= link::HEADER + link::USUAL_MTU), "{to}");
    }
}

#[test]
fn with_a_hole_or_an_overlap_nothing_arrives() {
    let (mut peer, _cable, _control, server) = scene();
    let now = Instant::now();
    let (_, frames) = large(V4, 4000);
    let [first, second, third] = &frames[..] else { panic!("{}", frames.len()) };
    // Without a checksum, which would find what is wrong too.
    let mut first = first.clone();
    first[link::HEADER + 20 + 6..][..2].fill(0);
    let first = &first;
    let earlier = |by: u16| change(second, |packet| packet.set_frag_offset(packet.frag_offset() - by));
    let ends_early = change(second, |packet| packet.set_more_frags(false));
    let odd = change(second, |packet| packet.set_total_len(packet.total_len() - 4));
    let beyond = change(third, |packet| packet.set_frag_offset(65_528));
    for (what, sent) in [
        ("a hole", vec![first, third]),
        ("no beginning", vec![second, third]),
        ("no end", vec![first, second]),
        ("an overlap of eight bytes", vec![first, &earlier(8), third]),
        ("the same place, but shorter", vec![first, second, &odd, third]),
        ("two ends", vec![first, &ends_early, third]),
        ("an end before what is there", vec![third, &ends_early, first]),
        ("no multiple of eight", vec![first, &odd, third]),
        ("more than a packet holds", vec![&beyond, first, second]),
    ] {
        sent.iter().for_each(|frame| peer.on_frame(frame, now));
        assert_eq!(received(&server), None, "{what}");
        peer.fragments = Default::default();
    }
    // After an overlap the datagram is gone, and another one is none the worse.
    [first, &earlier(8), second, third].iter().for_each(|frame| peer.on_frame(frame, now));
    assert_eq!(received(&server), None);
    let (payload, frames) = large(V4, 3000);
    frames.iter().for_each(|frame| peer.on_frame(frame, now));
    assert_eq!(received(&server), Some(payload));
}

#[test]
fn a_flood_of_fragments_is_bounded_and_old_ones_are_forgotten() {
    let (mut peer, _cable, _control, server) = scene();
    let now = Instant::now();
    let (payload, frames) = large(V4, 3000);
    for number in 0..10_000 {
        let first = change(&frames[0], |packet| packet.set_ident(number));
        peer.on_frame(&first, now);
        assert!(peer.fragments.len() <= MOST);
    }
    // Tiny ones: a packet of them is none.
    for place in (0..8000).step_by(8) {
        let tiny = change(&frames[0], |packet| {
            packet.set_ident(1);
            packet.set_frag_offset(place);
            packet.set_total_len(28);
        });
        peer.on_frame(&tiny, now);
    }
    assert!(peer.fragments.len() <= MOST);
    frames.iter().for_each(|frame| peer.on_frame(frame, now));
    assert_eq!(received(&server), Some(payload));
    peer.on_frame(&frames[0], now);
    let later = now + PATIENCE;
    peer.on_frame(&frames[1], later);
    assert_eq!(peer.fragments.len(), 1, "only what has just come");
    peer.on_frame(&frames[2], later);
    assert_eq!(received(&server), None, "its beginning is forgotten");
}
