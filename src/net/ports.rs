//! Which ports of the guest appear on the host's loopback interface: the setting, what was asked for by hand, and what the guest
//! says it listens on. Pure; whether a number of the host is free is only known when it is taken.

use crate::model::{Ports, Publish, Transport, VmSpec};
use crate::protocol::ListeningPorts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So many appear at once, whatever a guest says.
pub const MOST: usize = 256;

/// Lower numbers are the system's, on both sides.
pub const FIRST: u16 = 1024;

/// Where a program of the guest listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// On its network card.
    Card,
    /// On 127.0.0.1 alone.
    Loopback,
    /// On ::1 alone.
    LoopbackV6,
}

/// What the guest listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listening(BTreeMap<u16, At>);

impl Listening {
    pub fn new(ports: &ListeningPorts) -> Self {
        let ListeningPorts { any, loopback, loopback_v6 } = ports;
        // What is in several lists is reached the shortest way.
        let lists = [(loopback_v6, At::LoopbackV6), (loopback, At::Loopback), (any, At::Card)];
        let all = lists.into_iter().flat_map(|(ports, at)| ports.iter().map(move |port| (*port, at)));
        let usable = all.filter(|(port, _)| *port >= FIRST);
        Self(usable.collect::<BTreeMap<_, _>>().into_iter().take(MOST).collect())
    }
}

/// A port of the guest with the number that it should have on the host, and where its program listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub port: Publish,
    pub at: At,
}

/// The policy for ports of one VM.
#[derive(Debug, Clone)]
pub struct Policy {
    pub ports: Ports,
    pub publish: Vec<Publish>,
    /// Opened by a command while the VM runs.
    pub opened: BTreeSet<u16>,
}

impl Policy {
    /// That of a plan.
    pub fn of(spec: &VmSpec) -> Self {
        Self { ports: spec.ports.value, publish: spec.publish.clone(), opened: BTreeSet::new() }
    }

    /// What should be on the host now. What was asked for by hand is there all the time, also before the guest listens.
    pub fn wanted(&self, listening: &Listening) -> Vec<Wanted> {
        let mut wanted: Vec<_> = self
            .publish
            .iter()
            .map(|&port| {
                // The guest reports what listens on TCP alone.
                let at = match port.transport {
                    Transport::Tcp => listening.0.get(&port.guest).copied(),
                    Transport::Udp => None,
                };
                Wanted { port, at: at.unwrap_or(At::Card) }
            })
            .collect();
        for (&guest, &at) in &listening.0 {
            let port = Publish { host: guest, guest, transport: Transport::Tcp };
            if !self.is_by_hand(&port) && (self.ports == Ports::Auto || self.opened.contains(&guest)) {
                wanted.push(Wanted { port, at });
            }
        }
        wanted
    }

    /// Whether the user asked for this port of the guest, with the number that it is to have on the host.
    pub fn is_by_hand(&self, port: &Publish) -> bool {
        let is_same = |by_hand: &Publish| (by_hand.guest, by_hand.transport) == (port.guest, port.transport);
        self.publish.iter().any(is_same)
    }

    /// The ports that the user can open.
    pub fn asks(&self, listening: &Listening) -> Vec<u16> {
        let is_open = |&guest: &u16| {
            let port = Publish { host: guest, guest, transport: Transport::Tcp };
            self.opened.contains(&guest) || self.is_by_hand(&port)
        };
        match self.ports {
            Ports::Ask => listening.0.keys().copied().filter(|port| !is_open(port)).collect(),
            Ports::Auto | Ports::Off => Vec::new(),
        }
    }
}

/// The numbers to try for a port: its own, then the next ones, then any.
pub fn candidates(host: u16) -> impl Iterator<Item = u16> {
    const NEXT: u16 = 20;
    (host..=host.saturating_add(NEXT)).chain([0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(ports: Ports, publish: &[&str]) -> Policy {
        let publish = publish.iter().map(|text| text.parse().unwrap()).collect();
        Policy { ports, publish, opened: BTreeSet::new() }
    }

    fn listening(any: &[u16], loopback: &[u16]) -> Listening {
        let [any, loopback] = [any, loopback].map(<[u16]>::to_vec);
        Listening::new(&ListeningPorts { any, loopback, loopback_v6: vec![8080, 9090] })
    }

    fn numbers(wanted: &[Wanted]) -> Vec<(u16, u16)> {
        wanted.iter().map(|wanted| (wanted.port.host, wanted.port.guest)).collect()
    }

    #[test]
    fn what_listens_appears_at_the_same_number_and_goes_with_it() {
        let auto = policy(Ports::Auto, &[]);
        let wanted = auto.wanted(&listening(&[8080, 22], &[3000, 8080]));
        assert_eq!(numbers(&wanted), [(3000, 3000), (8080, 8080), (9090, 9090)]);
        let at: Vec<_> = wanted.iter().map(|wanted| wanted.at).collect();
        assert_eq!(at, [At::Loopback, At::Card, At::LoopbackV6], "8080 is on the card too");
        assert!(auto.wanted(&Listening::default()).is_empty());
    }

    #[test]
    fn what_was_asked_for_by_hand_is_always_there_and_only_once() {
        let by_hand = policy(Ports::Off, &["80:8080", "9000:9000"]);
        assert_eq!(numbers(&by_hand.wanted(&Listening::default())), [(80, 8080), (9000, 9000)]);
        let both = policy(Ports::Auto, &["80:8080", "90:9090"]);
        assert_eq!(
            numbers(&both.wanted(&listening(&[8080, 3000], &[]))),
            [(80, 8080), (90, 9090), (3000, 3000)]
        );
        let udp = policy(Ports::Auto, &["53:8080/udp"]);
        let wanted = udp.wanted(&listening(&[], &[8080]));
        assert_eq!(numbers(&wanted), [(53, 8080), (8080, 8080), (9090, 9090)]);
        assert_eq!(wanted[0].at, At::Card, "where a program listens on TCP says nothing of UDP");
    }

    #[test]
    fn with_ask_nothing_appears_before_it_is_opened() {
        let mut ask = policy(Ports::Ask, &[]);
        let all = listening(&[8080], &[3000]);
        assert_eq!((numbers(&ask.wanted(&all)), ask.asks(&all)), (vec![], vec![3000, 8080, 9090]));
        ask.opened.insert(3000);
        assert_eq!((numbers(&ask.wanted(&all)), ask.asks(&all)), (vec![(3000, 3000)], vec![8080, 9090]));
        let off = policy(Ports::Off, &[]);
        assert!(off.wanted(&all).is_empty() && off.asks(&all).is_empty());
    }

    #[test]
    fn a_guest_that_listens_on_everything_gets_no_more_than_the_most() {
        let all: Vec<u16> = (1..=u16::MAX).collect();
        assert_eq!(policy(Ports::Auto, &[]).wanted(&listening(&all, &all)).len(), MOST);
        assert_eq!(candidates(u16::MAX).collect::<Vec<_>>(), [u16::MAX, 0]);
    }
}
