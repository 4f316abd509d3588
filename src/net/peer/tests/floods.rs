//! A guest that tries to use up the peer: what it keeps is bounded, and others go on.

use super::guest::GUEST_V6;
use super::packets::{datagram, echo_request_of, frame, syn};
use super::*;
use proptest::prelude::*;
use smoltcp::wire::{EthernetAddress, EthernetFrame, IpProtocol, Ipv4Packet};

/// A peer without a thread, and the guest's end of its cable.
pub fn peer(net: Net) -> (Peer, UnixDatagram, UnixStream) {
    let (cable, card) = cable().unwrap();
    let (ours, control) = UnixStream::pair().unwrap();
    let mut peer =
        Peer::new(Inherited { card, control, show: None, agent: None }, Outside::default()).unwrap();
    peer.policy = Policy { net, allow: Vec::new() };
    cable.set_nonblocking(true).unwrap();
    (peer, cable, ours)
}

fn from(number: u16) -> SocketAddr {
    SocketAddr::new(link::GUEST.into(), number)
}

/// A port of the loopback interface that takes no connection: its queue is full.
fn busy_server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    (listener, place)
}

#[test]
fn ten_thousand_connections_at_once_are_bounded_and_one_that_was_there_goes_on() {
    let (_listener, place) = busy_server();
    let outside = Outside {
        detours: [(address(WEB), echo_server("127.0.0.1:0")), (address("203.0.113.8:80"), place)].into(),
        resolver_port: None,
    };
    let scene = Scene::start(Net::Public, &[], outside, Resolvers::default());
    let mut guest = scene.guest();
    let connection = guest.connect(address(WEB));
    assert!(guest.is_connected(connection));
    let flood = scene.cable();
    let flooder = std::thread::spawn(move || {
        for number in 0..10_000 {
            // As fast as the cable allows.
            while flood.send(&syn(from(1024 + number), address("203.0.113.8:80"))).is_err() {
                std::thread::yield_now();
            }
        }
    });
    for _ in 0..20 {
        guest.send(connection, b"still there\n");
        assert_eq!(guest.read(connection, 12), b"still there\n");
    }
    flooder.join().unwrap();
    guest.send(connection, b"and after\n");
    assert_eq!(guest.read(connection, 10), b"and after\n");
}

#[test]
fn what_a_flood_leaves_behind_is_bounded() {
    let (mut peer, _cable, _control) = peer(Net::Public);
    let (_listener, place) = busy_server();
    peer.outside.detours = [(address("203.0.113.8:80"), place), (address("203.0.113.8:9"), place)].into();
    let now = Instant::now();
    for number in 0..10_000 {
        peer.on_frame(&syn(from(1024 + number), address("203.0.113.8:80")), now);
        peer.on_frame(&datagram(from(1024 + number), address("203.0.113.8:9"), b"x"), now);
        peer.on_frame(
            &datagram(
                from(1024 + number),
                (link::RESOLVER, 53).into(),
                &messages::query(number, "a.example", 1),
            ),
            now,
        );
        let refused = SocketAddr::new(IpAddr::from([10, 0, (number >> 8) as u8, number as u8]), 80);
        peer.on_frame(&syn(from(1024), refused), now);
    }
    assert!(peer.pending.len() <= opening::WAITING && peer.connections.len() <= CONNECTIONS);
    assert!(peer.exchanges.len() <= datagrams::MOST && peer.resolver.jobs.len() <= resolver::MOST);
    assert_eq!(peer.record.reported, record::REPORTED);
    let open = peer.pending.len() + peer.connections.len() + peer.exchanges.len() + peer.resolver.jobs.len();
    assert!(peer.watch.len() <= open + 4);
    assert!(peer.by_ends.len() <= peer.pending.len() + peer.connections.len());
}

#[test]
fn what_waits_for_a_guest_that_reads_nothing_is_bounded() {
    let (mut peer, _cable, _control) = peer(Net::Public);
    let now = Instant::now();
    // Large answers, then small ones.
    for (length, count) in [(30_000, 120), (1, 20_000)] {
        for number in 0..count {
            peer.on_frame(&echo_request_of(link::GATEWAY.into(), number, length), now);
        }
        let waiting = peer.card.waiting_bytes();
        assert!(waiting <= card::MOST, "{waiting} bytes of memory");
        assert!(waiting > card::MOST - 70_000, "{waiting}: the cable did not fill");
    }
}

#[test]
fn the_buffers_of_all_connections_are_bounded_however_they_come_and_go() {
    let (mut peer, _cable, _control) = peer(Net::Off);
    let now = Instant::now();
    let most = 2 * ((stacks::LARGE + stacks::SPARE) * stacks::BUFFER + CONNECTIONS * stacks::SMALL_BUFFER);
    let mut port = 1024;
    for gone in [0, 500, 1500, 2048, 2000] {
        let keys: Vec<_> = peer.connections.keys().copied().take(gone).collect();
        for key in keys {
            let fate = peer.connections.get_mut(&key).unwrap().abort(now);
            peer.after(key, &fate, now);
        }
        for _ in 0..2100 {
            port += 1;
            peer.on_frame(&syn(from(port), (link::GATEWAY, WHY).into()), now);
        }
        assert_eq!(peer.connections.len(), CONNECTIONS);
        let memory: usize = peer.connections.values_mut().map(Connection::memory).sum();
        assert!(memory + peer.spares.memory() <= most, "{memory} bytes");
    }
}

#[test]
fn a_forged_or_broken_frame_is_nothing() {
    let (mut peer, cable, _control) = peer(Net::Open);
    let now = Instant::now();
    let good = || syn(from(1024), address("203.0.113.8:80"));
    let ethernet = |change: &dyn Fn(&mut EthernetFrame<&mut [u8]>)| {
        let mut bytes = good();
        change(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
        bytes
    };
    let ipv4 = |change: &dyn Fn(&mut Ipv4Packet<&mut [u8]>)| {
        let mut bytes = good();
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[link::HEADER..]);
        change(&mut packet);
        packet.fill_checksum();
        bytes
    };
    let source_route = {
        let mut bytes = good();
        bytes.splice(34..34, [0x83, 3, 4, 0]);
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[link::HEADER..]);
        packet.set_header_len(24);
        packet.set_total_len(packet.total_len() + 4);
        packet.fill_checksum();
        bytes
    };
    let nobody = |_: &mut [u8]| {};
    for (what, bytes) in [
        ("another card's", ethernet(&|frame| frame.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 1])))),
        ("the peer's own", ethernet(&|frame| frame.set_src_addr(link::PEER_MAC))),
        ("for another card", ethernet(&|frame| frame.set_dst_addr(EthernetAddress([2, 0, 0, 0, 0, 1])))),
        ("for all", ethernet(&|frame| frame.set_dst_addr(EthernetAddress::BROADCAST))),
        ("from another guest", ipv4(&|packet| packet.set_src_addr(Ipv4Addr::new(10, 0, 2, 16)))),
        ("from the gateway", ipv4(&|packet| packet.set_src_addr(link::GATEWAY))),
        ("from the host's network", ipv4(&|packet| packet.set_src_addr(Ipv4Addr::new(192, 168, 1, 1)))),
        ("a first fragment", ipv4(&|packet| packet.set_more_frags(true))),
        ("a later fragment", ipv4(&|packet| packet.set_frag_offset(8))),
        ("longer than it is", ipv4(&|packet| packet.set_total_len(4000))),
        ("with a route", source_route),
        ("with a wrong checksum", {
            let mut bytes = good();
            bytes[24] ^= 1;
            bytes
        }),
        (
            "from another IPv6 network",
            frame(
                "2001:db8::1".parse().unwrap(),
                "2001:db8::7".parse().unwrap(),
                IpProtocol::Tcp,
                20,
                nobody,
            ),
        ),
        (
            "a fragment of IPv6",
            frame(GUEST_V6.into(), "2001:db8::7".parse().unwrap(), IpProtocol::Ipv6Frag, 40, nobody),
        ),
        (
            "of another protocol",
            frame(link::GUEST.into(), "203.0.113.8".parse().unwrap(), IpProtocol::Unknown(47), 40, nobody),
        ),
        ("overlong", vec![0xff; 60_000]),
    ] {
        peer.on_frame(&bytes, now);
        assert!(cable.recv(&mut [0; 2000]).is_err(), "{what} has an answer");
        assert!(
            peer.pending.is_empty() && peer.connections.is_empty() && peer.exchanges.len() == 0,
            "{what}"
        );
    }
    assert!(cable.recv(&mut [0; 2000]).is_err());
}

#[test]
fn a_segment_of_no_connection_is_reset_and_never_answered_with_more_than_it_is() {
    let (mut peer, cable, _control) = peer(Net::Public);
    let mut bytes = syn(from(1024), address("10.1.2.3:80"));
    peer.on_frame(&bytes, Instant::now());
    let length = cable.recv(&mut [0; 2000]).unwrap();
    assert!(length <= bytes.len());
    // Its flags: an acknowledgement.
    bytes[link::HEADER + 33] = 0x10;
    peer.on_frame(&bytes, Instant::now());
    assert!(cable.recv(&mut [0; 2000]).is_ok());
}

proptest! {
    #[test]
    fn no_frame_panics(
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        ethertype in prop_oneof![Just([8u8, 0]), Just([8, 6]), Just([0x86, 0xdd]), any::<[u8; 2]>()],
    ) {
        let (mut peer, _cable, _control) = peer(Net::Off);
        let bytes = [&link::PEER_MAC.0[..], &link::GUEST_MAC.0, &ethertype, &rest].concat();
        peer.on_frame(&bytes, Instant::now());
    }
}
