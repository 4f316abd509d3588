//! Which TCP ports programs of the guest listen on, for the host, where they appear. The kernel tells nobody when that changes,
//! so its table is read again, and the host told of a difference.

use super::relay;
use crate::protocol::{GuestEvent, ListeningPorts};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// A new port is known on the host within two seconds; so the table is read a little more often.
const EVERY: Duration = Duration::from_millis(1500);

/// So many are told; a guest with more has them for itself.
const MOST: usize = 256;

/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// Below are the system's own, such as the host's way in.
const FIRST: u16 = 1024;

/// Where a program listens: the earlier, the shorter is the host's way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Any,
    /// On 127.0.0.1 alone, and on ::1 alone.
    Loopback,
    LoopbackV6,
}

pub struct Ports {
    told: BTreeMap<u16, At>,
    next: Instant,
    has_relay: bool,
}

impl Ports {
    pub fn new() -> Self {
        Self { told: BTreeMap::new(), next: Instant::now() + EVERY, has_relay: false }
    }

    /// How long to wait until the table is to be read again.
    pub fn patience(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Reads the table if it is time to; the event for the host if it differs from what was told.
    ///
    /// # Errors
    /// There is no table.
    pub fn look(&mut self) -> io::Result<Option<GuestEvent>> {
        if !self.patience().is_zero() {
            return Ok(None);
        }
        self.next = Instant::now() + EVERY;
        let mut found = BTreeMap::new();
        // A kernel without IPv6 has no table of it.
        let tables =
            [fs::read_to_string("/proc/net/tcp")?, fs::read_to_string("/proc/net/tcp6").unwrap_or_default()];
        for (port, at) in tables.iter().flat_map(|table| listening(table)) {
            let known = found.entry(port).or_insert(at);
            *known = at.min(*known);
        }
        let found: BTreeMap<_, _> = found.into_iter().take(MOST).collect();
        // The card may not have its address yet; then it is tried again.
        if !self.has_relay && found.values().any(|at| *at == At::LoopbackV6) {
            self.has_relay = relay::start().is_ok();
        }
        if found == self.told {
            return Ok(None);
        }
        self.told = found;
        let those = |wanted| {
            let found = self.told.iter().filter(move |(_, at)| **at == wanted);
            found.map(|(port, _)| *port).collect()
        };
        Ok(Some(GuestEvent::Listening(ListeningPorts {
            any: those(At::Any),
            loopback: those(At::Loopback),
            loopback_v6: those(At::LoopbackV6),
        })))
    }
}

/// The ports in a table of proc_net(5), and where each is.
fn listening(table: &str) -> impl Iterator<Item = (u16, At)> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok().filter(|port| *port >= FIRST)?;
        (state == LISTEN).then_some((port, at(address)?))
    };
    table.lines().skip(1).filter_map(entry)
}

/// The kernel prints words of 32 bits, each in the machine's order of bytes. So 127.0.0.1 is 0100007F here.
fn at(hex: &str) -> Option<At> {
    let word =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|word| u32::from_be_bytes(word.to_ne_bytes()));
    let words = hex.as_bytes().chunks(8).map(|word_of| word(str::from_utf8(word_of).ok()?));
    let words: Vec<u32> = words.collect::<Option<_>>()?;
    let address = match words[..] {
        [word] => IpAddr::V4(word.into()),
        [a, b, c, d] => IpAddr::V6(Ipv6Addr::from_bits(
            [a, b, c, d].iter().fold(0, |bits, word| bits << 32 | u128::from(*word)),
        )),
        _ => return None,
    };
    Some(match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => At::Loopback,
        IpAddr::V6(address) if address.is_loopback() => At::LoopbackV6,
        _ => At::Any,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_has_the_ports_that_programs_listen_on() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
             \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000\n\
             \x20  1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
             \x20  2: 00000000:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
             \x20  3: 0F02000A:1F91 0202000A:C350 01 00000000:00000000 00:00000000 00000000  1000\n";
        assert_eq!(listening(table).collect::<Vec<_>>(), [(8080, At::Loopback), (8082, At::Any)]);
        let v6 = "  sl\n   0: 00000000000000000000000001000000:0BB8 0:0 0A 0:0\n   1: 0000000000000000FFFF00000100007F:0BB9 0:0 0A\n   2: 00000000000000000000000000000000:0BBA 0:0 0A\n";
        assert_eq!(
            listening(v6).collect::<Vec<_>>(),
            [(3000, At::LoopbackV6), (3001, At::Loopback), (3002, At::Any)]
        );
        assert_eq!(listening("").chain(listening("x\ny\n z: 1:2 3 0A\n")).count(), 0);
    }

    #[test]
    fn a_port_of_this_machine_is_found_and_told_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut ports = Ports { told: BTreeMap::new(), next: Instant::now(), has_relay: true };
        let Some(GuestEvent::Listening(found)) = ports.look().unwrap() else { panic!("nothing") };
        assert!(found.loopback.contains(&port));
        assert_eq!(ports.look().unwrap(), None, "it is not time yet");
    }
}
