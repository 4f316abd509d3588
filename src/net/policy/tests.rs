//! The table of README's section on the network, row by row.

use super::*;
use std::time::Duration;

fn policy(net: Net, rules: &[&str]) -> Policy {
    Policy { net, allow: rules.iter().map(|rule| rule.parse().unwrap()).collect() }
}

fn to(protocol: Protocol, address: &str, port: u16) -> Destination {
    Destination { protocol, address: address.parse().unwrap(), port }
}

/// What the guest has looked up.
fn looked_up(pairs: &[(&str, &str)], now: Instant) -> Names {
    let mut names = Names::default();
    for (name, address) in pairs {
        names.learn(name, address.parse().unwrap(), Duration::from_secs(60), now);
    }
    names
}

fn tcp(policy: &Policy, address: &str, port: u16) -> Verdict {
    policy.verdict(&to(Protocol::Tcp, address, port), false, &Names::default(), Instant::now())
}

const PUBLIC: &[&str] = &["1.1.1.1", "203.0.113.7", "2606:4700::1111", "2001:db8::1"];
const NETWORK: &[&str] =
    &["10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "169.254.169.254", "fd12::1", "fe80::1"];
const HOST: &[&str] =
    &["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"];
const NOBODY: &[&str] = &["224.0.0.1", "255.255.255.255", "ff02::1"];

#[test]
fn public_opens_the_internet_and_nothing_else() {
    let public = policy(Net::Public, &[]);
    for address in PUBLIC {
        assert_eq!(tcp(&public, address, 80), Verdict::Open, "{address}");
    }
    for address in NETWORK.iter().chain(HOST).chain(NOBODY) {
        assert!(matches!(tcp(&public, address, 80), Verdict::Refused(_)), "{address}");
    }
}

#[test]
fn open_opens_the_network_of_the_host_but_not_the_host() {
    let open = policy(Net::Open, &[]);
    for address in PUBLIC.iter().chain(NETWORK) {
        assert_eq!(tcp(&open, address, 80), Verdict::Open, "{address}");
    }
    for address in HOST.iter().chain(NOBODY) {
        assert!(matches!(tcp(&open, address, 80), Verdict::Refused(_)), "{address}");
    }
}

#[test]
fn off_opens_nothing() {
    let off = policy(Net::Off, &[]);
    for address in [PUBLIC, NETWORK, HOST, NOBODY].concat() {
        assert!(matches!(tcp(&off, address, 80), Verdict::Refused(_)), "{address}");
    }
    assert!(!off.resolves("example.com") && policy(Net::Public, &[]).resolves("example.com"));
}

#[test]
fn an_address_of_the_host_is_closed_in_every_setting_and_whatever_a_rule_says() {
    for net in [Net::Public, Net::Open, Net::Off] {
        let all = policy(net, &["0.0.0.0/0", "::/0", "192.168.1.5", "203.0.113.9", "host:80"]);
        let is_own = |address: &str| {
            all.verdict(&to(Protocol::Tcp, address, 80), true, &Names::default(), Instant::now())
        };
        for address in ["192.168.1.5", "203.0.113.9", "2001:db8::5"] {
            assert_eq!(is_own(address), Verdict::Refused(Refusal::Host), "{address}");
        }
        for address in HOST {
            assert_eq!(tcp(&all, address, 80), Verdict::Refused(Refusal::Host), "{address}");
        }
    }
}

#[test]
fn a_rule_opens_an_address_a_network_or_one_port_of_it() {
    let off = policy(Net::Off, &["10.1.2.3", "192.168.0.0/16:22", "169.254.169.254:80"]);
    for (address, port, opens) in [
        ("10.1.2.3", 1, true),
        ("10.1.2.4", 1, false),
        ("::ffff:10.1.2.3", 1, true),
        ("192.168.9.9", 22, true),
        ("192.168.9.9", 23, false),
        ("169.254.169.254", 80, true),
        ("1.1.1.1", 80, false),
    ] {
        assert_eq!(tcp(&off, address, port) == Verdict::Open, opens, "{address}:{port}");
    }
    let ping =
        |address| off.verdict(&to(Protocol::Ping, address, 0), false, &Names::default(), Instant::now());
    assert_eq!(ping("10.1.2.3"), Verdict::Open);
    assert!(matches!(ping("192.168.9.9"), Verdict::Refused(_)), "a rule for a port is for no ping");
}

#[test]
fn a_name_opens_what_it_resolved_to_for_as_long_as_the_answer_holds() {
    let now = Instant::now();
    let names = looked_up(&[("example.com", "203.0.113.7"), ("a.b.example.org", "203.0.113.8")], now);
    let list = policy(Net::Off, &["example.com", "*.example.org:22"]);
    let at = |address, port, now| list.verdict(&to(Protocol::Tcp, address, port), false, &names, now);
    assert_eq!(at("203.0.113.7", 80, now), Verdict::Open);
    assert_eq!(at("203.0.113.8", 22, now), Verdict::Open);
    assert!(matches!(at("203.0.113.8", 23, now), Verdict::Refused(Refusal::NotListed { .. })));
    assert!(
        matches!(at("203.0.113.9", 80, now), Verdict::Refused(Refusal::NotListed { .. })),
        "not looked up"
    );
    assert!(matches!(at("203.0.113.7", 80, now + Duration::from_secs(61)), Verdict::Refused(_)), "too old");
    assert!(list.resolves("example.com") && list.resolves("x.example.org") && !list.resolves("example.org"));
}

#[test]
fn a_name_that_resolves_to_the_host_or_a_private_address_opens_nothing() {
    let now = Instant::now();
    let list = policy(Net::Off, &["evil.example"]);
    let public = policy(Net::Public, &["evil.example"]);
    for address in HOST.iter().chain(NETWORK).chain(NOBODY).chain(&["64:ff9b::10.0.0.1", "2002:a00:1::1"]) {
        let names = looked_up(&[("evil.example", address)], now);
        for policy in [&list, &public] {
            let verdict = policy.verdict(&to(Protocol::Tcp, address, 80), false, &names, now);
            assert!(matches!(verdict, Verdict::Refused(_)), "{address}");
        }
    }
    // A host's own public address.
    let names = looked_up(&[("evil.example", "203.0.113.7")], now);
    let verdict = list.verdict(&to(Protocol::Tcp, "203.0.113.7", 80), true, &names, now);
    assert_eq!(verdict, Verdict::Refused(Refusal::Host));
}

#[test]
fn in_a_list_https_needs_the_name_in_its_greeting_and_quic_is_closed() {
    let now = Instant::now();
    let names = looked_up(&[("example.com", "203.0.113.7")], now);
    let list = policy(Net::Off, &["example.com", "198.51.100.0/24"]);
    let at = |protocol, address| list.verdict(&to(protocol, address, HTTPS), false, &names, now);
    assert_eq!(at(Protocol::Tcp, "203.0.113.7"), Verdict::OpenForName);
    assert_eq!(at(Protocol::Udp, "203.0.113.7"), Verdict::Refused(Refusal::NoQuic));
    // An address that a rule opens by itself has no name to compare.
    assert_eq!(at(Protocol::Tcp, "198.51.100.1"), Verdict::Open);
    assert_eq!(at(Protocol::Udp, "198.51.100.1"), Verdict::Open);
    assert!(list.opens_name("example.com", 443) && !list.opens_name("example.net", 443));
}

#[test]
fn a_port_of_the_host_is_opened_by_its_number_alone() {
    let public = policy(Net::Public, &["host:5432", "example.com"]);
    assert!(public.opens_host(5432) && !public.opens_host(5433));
    assert!(!policy(Net::Open, &["0.0.0.0/0"]).opens_host(5432));
}

#[test]
fn a_refusal_says_why_and_what_to_type() {
    let now = Instant::now();
    let mut text = String::new();
    let names = looked_up(
        &[("db.example", "10.1.2.3"), ("www.example", "203.0.113.7"), ("list.example", "203.0.113.8")],
        now,
    );
    let public = policy(Net::Public, &[]);
    let list = policy(Net::Off, &["list.example"]);
    for (policy, protocol, address, port) in [
        (&public, Protocol::Tcp, "127.0.0.1", 5432),
        (&public, Protocol::Udp, "::1", 53),
        (&public, Protocol::Tcp, "10.9.9.9", 80),
        (&public, Protocol::Tcp, "10.1.2.3", 5432),
        (&public, Protocol::Tcp, "169.254.169.254", 80),
        (&public, Protocol::Ping, "fd12::1", 0),
        (&public, Protocol::Udp, "224.0.0.251", 5353),
        (&list, Protocol::Tcp, "203.0.113.7", 22),
        (&list, Protocol::Tcp, "2001:db8::7", 443),
        (&list, Protocol::Udp, "203.0.113.8", 443),
    ] {
        let to = to(protocol, address, port);
        let Verdict::Refused(refusal) = policy.verdict(&to, false, &names, now) else { panic!("{to}") };
        let flag = refusal.flag(&to).unwrap_or("nothing".to_owned());
        text += &format!("{to}: {refusal}; {flag}\n");
    }
    let to = to(Protocol::Tcp, "203.0.113.8", 443);
    for name in [None, Some("other.example".to_owned())] {
        let refusal = Refusal::Greeting { name };
        text += &format!("{to}: {refusal}; {}\n", refusal.flag(&to).unwrap_or("nothing".to_owned()));
    }
    insta::assert_snapshot!(text);
}

proptest::proptest! {
    /// Whatever the setting and the rules: what is the host's is closed.
    #[test]
    fn no_policy_opens_the_loopback_interface(a: u8, b: u8, c: u8, port: u16, net in 0usize..3) {
        let net = [Net::Public, Net::Open, Net::Off][net];
        let all = policy(net, &["0.0.0.0/0", "::/0", "evil.example"]);
        let now = Instant::now();
        let v4 = core::net::Ipv4Addr::new(127, a, b, c);
        for address in [IpAddr::V4(v4), v4.to_ipv6_mapped().into(), v4.to_ipv6_compatible().into()] {
            let names = looked_up(&[("evil.example", &address.to_string())], now);
            let to = Destination { protocol: Protocol::Tcp, address, port };
            proptest::prop_assert_eq!(all.verdict(&to, false, &names, now), Verdict::Refused(Refusal::Host));
        }
    }
}
