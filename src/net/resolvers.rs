//! The host's resolvers: resolv.conf(5), which every system with one keeps current, also without systemd. Parsing is pure.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The file, on Linux and macOS.
pub const FILE: &str = "/etc/resolv.conf";

/// More are not asked (resolv.conf(5) has three).
const MOST: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolvers {
    /// In the order in which they are asked.
    pub servers: Vec<IpAddr>,
    /// What is tried after a name of one word.
    pub search: Vec<String>,
}

impl Resolvers {
    pub fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // An address of a link has its interface behind it, which no socket of the peer has.
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    this.servers.extend(address.filter(|_| this.servers.len() < MOST));
                }
                // The last line counts.
                Some("search" | "domain") => {
                    let clean = |word: &str| word.trim_matches('.').to_ascii_lowercase();
                    this.search = words.map(clean).filter(|word| !word.is_empty()).take(MOST).collect();
                }
                _ => {}
            }
        }
        // As the C library does.
        if this.servers.is_empty() {
            this.servers.push(IpAddr::from([127, 0, 0, 1]));
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_servers_are_read_in_their_order() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n\
                    options edns0\nsearch old\nsearch Corp.Example. lan\nnameserver\nnameserver 192.0.2.1\n";
        let found = Resolvers::parse(text);
        let servers: Vec<_> = found.servers.iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["127.0.0.53", "::1", "192.0.2.1"]);
        assert_eq!(found.search, ["corp.example", "lan"]);
        assert_eq!(Resolvers::parse("").servers, [IpAddr::from([127, 0, 0, 1])]);
    }
}
