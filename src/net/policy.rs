//! Whether a VM may reach a destination, and if not, why and what to type. Pure: it is the setting, the rules, what the
//! guest's names resolved to, and whether an address is the host's own.

use super::address::{Class, class};
use super::names::Names;
use crate::model::{HOST_NAME, Net, Rule, Target};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Instant;

/// How the guest talks to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Ping,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ping => "ping",
        })
    }
}

/// Where the guest wants to go. A ping has port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    pub protocol: Protocol,
    pub address: IpAddr,
    pub port: u16,
}

/// The setting and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub net: Net,
    pub allow: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Open,
    /// Once the name in the TLS greeting is one that an allow rule names.
    OpenForName,
    Refused(Refusal),
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The machine itself: a port of it that no rule opens.
    Host,
    /// The class is not part of the setting. With the names that resolved to it, which no rule opens therefore.
    Class { class: Class, names: Vec<String> },
    /// No rule opens it, and the setting is `off`.
    NotListed { names: Vec<String> },
    /// QUIC has its name encrypted; programs take TCP then.
    NoQuic,
    /// The name in the TLS greeting is not one that a rule names, or there is none.
    Greeting { name: Option<String> },
}

/// The port of HTTPS, where a connection has the name of its server in its greeting.
pub const HTTPS: u16 = 443;

impl Policy {
    /// `is_own`: the address is one of the host's.
    pub fn verdict(&self, to: &Destination, is_own: bool, names: &Names, now: Instant) -> Verdict {
        let address = to.address.to_canonical();
        let class = class(address);
        if class == Class::Host || is_own {
            return Verdict::Refused(Refusal::Host);
        }
        if class == Class::Multicast {
            return Verdict::Refused(Refusal::Class { class, names: Vec::new() });
        }
        let is_default = match self.net {
            Net::Public => class == Class::Public,
            Net::Open => class != Class::Reserved,
            Net::Off => false,
        };
        let opens =
            |rule: &Rule| rule.port.is_none_or(|port| port == to.port && to.protocol != Protocol::Ping);
        if is_default || self.allow.iter().any(|rule| opens(rule) && rule.target.contains(address)) {
            return Verdict::Open;
        }
        let names: Vec<String> = names.of(address, now).map(str::to_owned).collect();
        // A name never opens an address that is not public: whoever has the name could point it anywhere.
        if class != Class::Public {
            return Verdict::Refused(Refusal::Class { class, names });
        }
        if !names.iter().any(|name| self.allow.iter().any(|rule| opens(rule) && rule.target.names(name))) {
            return Verdict::Refused(Refusal::NotListed { names });
        }
        match (to.protocol, to.port) {
            (Protocol::Udp, HTTPS) => Verdict::Refused(Refusal::NoQuic),
            (Protocol::Tcp, HTTPS) => Verdict::OpenForName,
            _ => Verdict::Open,
        }
    }

    /// Whether the guest may reach this port of the host's loopback interface.
    pub fn opens_host(&self, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.target == Target::Host && rule.port == Some(port))
    }

    /// Whether the guest may ask for this name. A list of rules also closes what could leave with a question.
    pub fn resolves(&self, name: &str) -> bool {
        match self.net {
            Net::Public | Net::Open => true,
            Net::Off => self.allow.iter().any(|rule| rule.target.names(name)),
        }
    }

    /// Whether a rule names the server of a TLS greeting.
    pub fn opens_name(&self, name: &str, port: u16) -> bool {
        let opens = |rule: &Rule| rule.port.is_none_or(|of_rule| of_rule == port);
        self.allow.iter().any(|rule| opens(rule) && rule.target.names(name))
    }
}

impl Refusal {
    /// The flag that opens it; None where nothing does.
    pub fn flag(&self, to: &Destination) -> Option<String> {
        match self {
            Self::Host if to.protocol == Protocol::Tcp => {
                Some(format!("--allow host:{}, and in the VM {HOST_NAME}:{}", to.port, to.port))
            }
            Self::Host | Self::NoQuic => None,
            Self::Class { class: Class::Multicast, .. } => None,
            Self::Class { .. } => Some(format!("--allow {}", to.address)),
            Self::NotListed { names } => {
                let what = names.first().cloned().unwrap_or_else(|| to.address.to_string());
                Some(format!("--allow {what}"))
            }
            Self::Greeting { name } => name.as_ref().map(|name| format!("--allow {name}")),
        }
    }
}

/// Why, as the end of a sentence.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("it is this machine"),
            Self::Class { class, names } => match names.first() {
                Some(name) => write!(f, "{name} resolves to {class}"),
                None => write!(f, "it is {class}"),
            },
            Self::NotListed { .. } => f.write_str("no rule allows it"),
            Self::NoQuic => f.write_str("UDP to port 443 has no readable name, so only TCP is open"),
            Self::Greeting { name: Some(name) } => {
                write!(f, "no rule allows {name}, which the TLS greeting names")
            }
            Self::Greeting { name: None } => f.write_str("its TLS greeting has no name"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.address) {
            (Protocol::Ping, address) => write!(f, "ping of {address}"),
            (_, IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            (_, IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }?;
        if self.protocol == Protocol::Udp { f.write_str("/udp") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
