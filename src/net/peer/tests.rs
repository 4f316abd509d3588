//! The peer against a guest of the tests' own, a whole stack of smoltcp at the other end of the cable, and servers on the
//! host's loopback interface, which the table of detours makes public.

mod floods;
mod fragments;
mod guest;
mod idle;
mod inward;
mod packets;
#[cfg(target_os = "linux")]
mod programs;
mod scene;
mod search;
#[cfg(target_os = "linux")]
mod software;

use super::*;
use crate::model::{HOST_NAME, Transport};
use crate::net::link;
use crate::net::message::Report;
use crate::net::ports::At;
use crate::net::resolvers::Resolvers;
use dns::tests as messages;
use guest::Guest;
use opening::WHY;
use scene::Scene;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

const WEB: &str = "203.0.113.7:80";
const WEB_V6: &str = "[2001:db8::7]:80";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A server that sends back each line, and ends when its client does.
fn echo_server(on: &str) -> SocketAddr {
    let listener = TcpListener::bind(on).unwrap();
    let place = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut line = Vec::new();
                while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(&line);
                    line.clear();
                }
                let _ = stream.write_all(b"end");
            });
        }
    });
    place
}

fn web(net: Net, rules: &[&str]) -> Scene {
    let detours = [(WEB, echo_server("127.0.0.1:0")), (WEB_V6, echo_server("[::1]:0"))];
    let outside = Outside {
        detours: detours.map(|(from, to)| (address(from), to)).into_iter().collect(),
        resolver_port: None,
    };
    Scene::start(net, rules, outside, Resolvers::default())
}

#[test]
fn a_connection_carries_bytes_both_ways_and_each_half_ends_by_itself() {
    let scene = web(Net::Public, &[]);
    let mut guest = scene.guest();
    for place in [WEB, WEB_V6] {
        let connection = guest.connect(address(place));
        assert!(guest.is_connected(connection), "{place}");
        guest.send(connection, b"hello\n");
        assert_eq!(guest.read(connection, 6), b"hello\n", "{place}");
        guest.close(connection);
        assert_eq!(guest.read_to_end(connection), b"end", "after the guest has closed its half");
    }
}

#[test]
fn a_large_transfer_arrives_whole() {
    let scene = web(Net::Public, &[]);
    let mut guest = scene.guest();
    let connection = guest.connect(address(WEB));
    assert!(guest.is_connected(connection));
    let mut line = vec![b'x'; 3_000_000];
    line.push(b'\n');
    assert_eq!(guest.exchange(connection, &line), line);
}

#[test]
fn a_guest_gets_packets_as_large_as_it_takes_and_no_larger() {
    for mtu in [link::USUAL_MTU, 9000, link::MTU] {
        let scene = web(Net::Public, &[]);
        let mut guest = Guest::with_mtu(scene.cable(), mtu);
        let connection = guest.connect(address(WEB));
        assert!(guest.is_connected(connection), "{mtu}");
        let line = [vec![b'x'; 1_000_000], b"\n".to_vec()].concat();
        assert_eq!(guest.exchange(connection, &line), line);
        let longest = guest.longest_packet();
        assert!(longest <= mtu && longest > mtu / 2, "{longest} of {mtu}");
    }
}

#[test]
fn what_the_policy_closes_is_refused_at_once_and_reported_once() {
    let scene = web(Net::Public, &[]);
    let mut guest = scene.guest();
    for place in [
        "127.0.0.1:80",
        "10.0.2.2:80",
        "10.0.2.9:80",
        "192.168.1.1:80",
        "169.254.169.254:80",
        "[::ffff:127.0.0.1]:80",
        "[64:ff9b::7f00:1]:80",
        "[fec0::2]:80",
        "[fd76:6768:6f73:7400::2]:80",
    ] {
        for _ in 0..2 {
            let started = Instant::now();
            let connection = guest.connect(address(place));
            assert!(!guest.is_connected(connection), "{place}");
            // The guest's own stack asks for a neighbour once a second.
            assert!(started.elapsed() < Duration::from_secs(3), "{place} was refused late");
        }
    }
    let reports = scene.reports();
    let to = reports.iter().map(|report| match report {
        Report::Refused { to, .. } => to.as_str(),
        other => panic!("{other:?}"),
    });
    let to: Vec<_> = to.collect();
    assert_eq!(to.len(), 9, "{to:?}");
    assert!(to.contains(&"192.168.1.1:80") && to.contains(&"[64:ff9b::7f00:1]:80"), "{to:?}");
}

#[test]
fn the_guest_hears_what_a_server_says_to_a_connection() {
    // A port that nobody has.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outside = Outside { detours: [(address(WEB), closed)].into(), resolver_port: None };
    let scene = Scene::start(Net::Public, &[], outside, Resolvers::default());
    let mut guest = scene.guest();
    let connection = guest.connect(address(WEB));
    assert!(!guest.is_connected(connection));
    assert!(scene.reports().is_empty(), "the policy had nothing against it");
}

#[test]
fn a_port_of_the_host_is_reached_by_a_rule_alone_and_through_the_gateway() {
    let v4 = echo_server("127.0.0.1:0").port();
    let v6 = echo_server("[::1]:0").port();
    let rules = [v4, v6].map(|port| format!("host:{port}"));
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    let scene = Scene::start(Net::Off, &rules, Outside::default(), Resolvers::default());
    let mut guest = scene.guest();
    for port in [v4, v6] {
        let connection = guest.connect(address(&format!("10.0.2.2:{port}")));
        assert!(guest.is_connected(connection), "{port}");
        guest.send(connection, b"hello\n");
        assert_eq!(guest.read(connection, 6), b"hello\n");
    }
    for closed in [format!("127.0.0.1:{v4}"), format!("10.0.2.2:{}", v4 ^ 1)] {
        let connection = guest.connect(address(&closed));
        assert!(!guest.is_connected(connection), "{closed}");
    }
}

#[test]
fn datagrams_go_both_ways_and_a_closed_one_is_refused_at_once() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let outside = Outside { detours: [(address("203.0.113.7:53"), place)].into(), resolver_port: None };
    let scene = Scene::start(Net::Public, &[], outside, Resolvers::default());
    let mut guest = scene.guest();
    let socket = guest.udp();
    guest.send_to(socket, address("203.0.113.7:53"), b"ping");
    assert_eq!(guest.receive(socket), Some((address("203.0.113.7:53"), b"ping".to_vec())));
    let refused = guest.icmp_errors();
    guest.send_to(socket, address("192.168.1.1:53"), b"ping");
    guest.turn_until(|guest| guest.icmp_errors() > refused);
    assert_eq!(guest.icmp_errors(), refused + 1);
}

#[test]
fn names_are_answered_by_the_hosts_resolvers_also_behind_a_dead_one() {
    let resolver = resolver(&[("www.example", &[203, 0, 113, 7])]);
    let resolvers = Resolvers::parse("nameserver 127.0.0.9\nnameserver 127.0.0.1\n");
    let outside = Outside { resolver_port: Some(resolver), ..Outside::default() };
    let scene = Scene::start(Net::Public, &[], outside, resolvers);
    let mut guest = scene.guest();
    let answer = guest.resolve("www.example", messages::A).expect("no answer");
    assert_eq!(dns::addresses(&answer)[0].address, IpAddr::from([203, 0, 113, 7]));
    let over_tcp = guest.resolve_over_tcp("www.example", messages::A);
    assert_eq!(dns::addresses(&over_tcp)[0].address, IpAddr::from([203, 0, 113, 7]));
    let host = guest.resolve(HOST_NAME, messages::A).unwrap();
    assert_eq!(dns::addresses(&host)[0].address, IpAddr::from(link::GATEWAY));
}

#[test]
fn in_a_list_a_name_opens_its_address_and_no_other_name_is_even_asked_for() {
    let resolver = resolver(&[("www.example", &[203, 0, 113, 7]), ("evil.example", &[10, 1, 2, 3])]);
    let outside = Outside {
        detours: [(address(WEB), echo_server("127.0.0.1:0"))].into(),
        resolver_port: Some(resolver),
    };
    let resolvers = Resolvers::parse("nameserver 127.0.0.1\n");
    let scene = Scene::start(Net::Off, &["www.example", "evil.example"], outside, resolvers);
    let mut guest = scene.guest();
    let before = guest.connect(address(WEB));
    assert!(!guest.is_connected(before), "it was not looked up yet");
    guest.resolve("www.example", messages::A).unwrap();
    let after = guest.connect(address(WEB));
    assert!(guest.is_connected(after));
    guest.resolve("evil.example", messages::A).unwrap();
    let rebound = guest.connect(address("10.1.2.3:80"));
    assert!(!guest.is_connected(rebound), "a name opened a private address");
    assert!(dns::is_failure(&guest.resolve("secret.other.example", messages::A).unwrap()));
}

#[test]
fn the_gateway_answers_pings_and_a_router_is_advertised() {
    let scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    assert!(guest.ping("10.0.2.2".parse().unwrap()));
    assert!(guest.ping(link::GATEWAY_V6.into()));
    assert!(!guest.ping("203.0.113.7".parse().unwrap()));
}

#[test]
fn a_policy_that_changes_is_the_policy_at_once() {
    let mut scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let closed = guest.connect(address(WEB));
    assert!(!guest.is_connected(closed));
    scene.set(Net::Public, &[]);
    let open = guest.connect(address(WEB));
    assert!(guest.is_connected(open));
}

#[test]
fn in_a_list_https_goes_on_once_its_greeting_has_an_allowed_name() {
    let resolver = resolver(&[("www.example", &[203, 0, 113, 7])]);
    let https = "203.0.113.7:443";
    let outside = Outside {
        detours: [(address(https), echo_server("127.0.0.1:0"))].into(),
        resolver_port: Some(resolver),
    };
    let resolvers = Resolvers::parse("nameserver 127.0.0.1\n");
    let scene = Scene::start(Net::Off, &["www.example"], outside, resolvers);
    let mut guest = scene.guest();
    guest.resolve("www.example", messages::A).unwrap();
    let first = greeting::tests::greeting(Some("www.example"));
    let connection = guest.connect(address(https));
    assert!(guest.is_connected(connection));
    // In two pieces, as from a slow client; the server gets all of it.
    guest.send(connection, &first[..30]);
    assert!(!guest.turn_until_closed(connection, Duration::from_millis(100)));
    guest.send(connection, &[&first[30..], b"\n"].concat());
    assert_eq!(guest.read(connection, first.len() + 1).len(), first.len() + 1);
    for other in [greeting::tests::greeting(Some("other.example")), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let connection = guest.connect(address(https));
        assert!(guest.is_connected(connection));
        guest.send(connection, &other);
        assert!(guest.turn_until_closed(connection, Duration::from_secs(5)));
    }
    let reports = scene.reports();
    assert!(matches!(&reports[..], [Report::Reached { .. }, Report::Refused { .. }]), "{reports:?}");
}

#[test]
fn the_account_has_what_went_where_and_what_was_refused() {
    let scene = web(Net::Public, &[]);
    let mut guest = scene.guest();
    let connection = guest.connect(address(WEB));
    assert!(guest.is_connected(connection));
    guest.send(connection, b"hello\n");
    assert_eq!(guest.read(connection, 6), b"hello\n");
    for _ in 0..2 {
        let refused = guest.connect(address("10.1.2.3:80"));
        assert!(!guest.is_connected(refused));
    }
    let account = scene.account();
    let reached = &account.reached[0];
    assert_eq!((reached.to.as_str(), reached.open, reached.sent, reached.received), (WEB, 1, 6, 6));
    assert_eq!((account.refused[0].to.as_str(), account.refused[0].times), ("10.1.2.3:80", 2));
    let ended = scene.end();
    assert_eq!(ended.reached[0].sent, 6, "{ended:?}");
}

#[test]
fn a_policy_that_closes_an_open_connection_ends_it() {
    let mut scene = web(Net::Public, &[]);
    let mut guest = scene.guest();
    let connection = guest.connect(address(WEB));
    assert!(guest.is_connected(connection));
    scene.set(Net::Public, &["host:1"]);
    guest.send(connection, b"hello\n");
    assert_eq!(guest.read(connection, 6), b"hello\n");
    scene.set(Net::Off, &[]);
    assert!(guest.turn_until_closed(connection, Duration::from_secs(5)));
}

#[test]
fn the_guest_can_ask_why_it_was_refused() {
    let scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let refused = guest.connect(address(WEB));
    assert!(!guest.is_connected(refused));
    let question = guest.connect((link::GATEWAY, WHY).into());
    assert!(guest.is_connected(question));
    let text = String::from_utf8(guest.read_to_end(question)).unwrap();
    assert!(text.contains("\"off\"") && text.contains(WEB) && text.contains("--allow 203.0.113.7"), "{text}");
}

/// A resolver on a port of its own, which has these names and no other.
fn resolver(names: &'static [(&str, &[u8; 4])]) -> u16 {
    let respond = move |query: &[u8]| {
        let question = dns::question(query)?;
        Some(match names.iter().find(|(name, _)| *name == question.name) {
            Some((_, address)) => messages::answer(query, &[(&[0xc0, 12], messages::A, 60, &address[..])]),
            None => messages::unknown(query),
        })
    };
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let port = udp.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            if let Some(answer) = respond(&buffer[..length]) {
                udp.send_to(&answer, from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 2];
            while stream.read_exact(&mut head).is_ok() {
                let mut query = vec![0; u16::from_be_bytes(head).into()];
                stream.read_exact(&mut query).unwrap();
                let answer = respond(&query).unwrap();
                stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
            }
        }
    });
    port
}
