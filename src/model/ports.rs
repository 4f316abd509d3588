//! Ports of the guest that appear on the host: the words of the settings `ports` and `publish`.

use super::units::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What happens when a program of the guest listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// It appears on the host's loopback interface.
    Auto,
    /// One line says how to open it.
    Ask,
    /// Nothing.
    Off,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Off => "off",
        })
    }
}

/// What a port is a port of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
}

/// A port of the host that leads to one of the guest: `HOST:GUEST`, and for UDP `HOST:GUEST/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub host: u16,
    pub guest: u16,
    #[serde(default)]
    pub transport: Transport,
}

impl Transport {
    /// What is typed behind a port.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tcp => "",
            Self::Udp => "/udp",
        }
    }
}

impl FromStr for Publish {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |port: &str| port.parse().ok().filter(|number| *number > 0 && !port.starts_with('+'));
        let (ports, transport) = match text.split_once('/') {
            None => (text, Some(Transport::Tcp)),
            Some((ports, "tcp")) => (ports, Some(Transport::Tcp)),
            Some((ports, "udp")) => (ports, Some(Transport::Udp)),
            Some((ports, _)) => (ports, None),
        };
        let (host, guest) = ports.split_once(':').unwrap_or((ports, ports));
        match (number(host), number(guest), transport) {
            (Some(host), Some(guest), Some(transport)) => Ok(Self { host, guest, transport }),
            _ => Err(Invalid(format!(
                "a port to publish is PORT or HOST:GUEST, with numbers from 1 to 65535, such as 8080:80 or 5353:53/udp, not {text:?}"
            ))),
        }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.host, self.guest, self.transport.suffix())
    }
}

/// The ports of the setting `publish`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Published(pub Vec<Publish>);

impl Published {
    fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut all: Vec<Publish> = Vec::new();
        for text in texts {
            let one: Publish = text.parse()?;
            let is_same = |other: &Publish| (other.host, other.transport) == (one.host, one.transport);
            if all.iter().any(is_same) {
                let suffix = one.transport.suffix();
                return Err(Invalid(format!("port {}{suffix} of this machine is published twice", one.host)));
            }
            all.push(one);
        }
        Ok(Self(all))
    }
}

impl TryFrom<Vec<String>> for Published {
    type Error = Invalid;
    fn try_from(list: Vec<String>) -> Result<Self, Invalid> {
        Self::parse(list.iter().map(String::as_str))
    }
}

/// Separated by commas.
impl FromStr for Published {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text.split(','))
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(Publish::to_string).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_to_publish_is_two_numbers_or_one_for_both() {
        for (text, printed) in [
            ("8080:80", "8080:80"),
            ("3000", "3000:3000"),
            ("1:65535", "1:65535"),
            ("8080:80/tcp", "8080:80"),
            ("5353:53/udp", "5353:53/udp"),
            ("53/udp", "53:53/udp"),
        ] {
            assert_eq!(text.parse::<Publish>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "0:1",
            "1:0",
            "65536:1",
            "a:1",
            "1:2:3",
            "+1:1",
            "1:",
            "1:1/",
            "1:1/sctp",
            "1/udp:1",
            "1/tcp/tcp",
        ] {
            assert!(bad.parse::<Publish>().is_err(), "{bad:?}");
        }
        assert!("80:1,80:2".parse::<Published>().is_err() && "80:1,81:1".parse::<Published>().is_ok());
        assert!(
            "53:1,53:1/udp".parse::<Published>().is_ok() && "53/udp,53:1/udp".parse::<Published>().is_err()
        );
    }
}
