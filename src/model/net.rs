//! What a VM may reach: the words of the settings `net` and `allow`. Only the spelling is decided here; what a rule opens is
//! decided in `crate::net::policy`.

use super::units::Invalid;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// What of the network a VM reaches without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// Addresses of the public internet.
    Public,
    /// The host's whole network, but not the host itself.
    Open,
    /// Nothing.
    Off,
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Open => "open",
            Self::Off => "off",
        })
    }
}

/// The name under which the guest reaches an allowed port of the host's loopback interface.
pub const HOST_NAME: &str = "host.virtualghost.internal";

/// What a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host name in small letters, without the final dot.
    Name(String),
    /// All names below this one, and not itself: `*.name`.
    Below(String),
    /// One address, or all that have the first `bits` bits in common with it.
    Network { address: IpAddr, bits: u8 },
    /// The host's own loopback interface: `host`.
    Host,
}

/// One rule of `allow`: what it names, and the one port of it, if it is for one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub target: Target,
    pub port: Option<u16>,
}

const FORMS: &str = "a name (example.com), *.example.com, an address (192.0.2.7), a network (192.0.2.0/24) or host:PORT; \
     each may end with :PORT, and an IPv6 address is then in brackets";

fn refused(text: &str, because: impl fmt::Display) -> Invalid {
    Invalid(format!("{text:?} is no rule: {because}"))
}

impl FromStr for Rule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(refused(text, format_args!("type {FORMS}")));
        }
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return Err(refused(text, format_args!("it is an address of a page; type {host}")));
        }
        let (host, port) = split_port(text)?;
        let target = if host.eq_ignore_ascii_case("host") { Target::Host } else { target(text, host)? };
        match (&target, port) {
            (Target::Host, None) => Err(refused(text, "it opens one port of this machine; type host:PORT")),
            _ => Ok(Self { target, port }),
        }
    }
}

/// The host and the port of `host`, `host:port`, `[address]` and `[address]:port`. An IPv6 address without brackets has no
/// port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), Invalid> {
    let number = |port: &str| match port.parse() {
        Ok(number @ 1..) if !port.starts_with('+') => Ok(Some(number)),
        _ => Err(refused(text, format_args!("a port is a number from 1 to 65535, not {port:?}"))),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(|| refused(text, "the bracket is not closed"))?;
        if !host.contains(':') {
            return Err(refused(text, "only IPv6 addresses are in brackets"));
        }
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if port.is_empty() => Ok((host, None)),
            None => Err(refused(text, format_args!("after the bracket comes :PORT, not {port:?}"))),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, number(port)?)),
        None => Ok((text, None)),
    }
}

fn target(text: &str, host: &str) -> Result<Target, Invalid> {
    if let Some((address, bits)) = host.split_once('/') {
        return network(text, address, bits);
    }
    if host.contains(':') {
        let address: Ipv6Addr = host.parse().map_err(|_| {
            refused(text, "it is no IPv6 address; with a port the address is in brackets: [2001:db8::1]:443")
        })?;
        return one(text, address.into());
    }
    if ends_in_a_number(host) {
        let address: Ipv4Addr = host.parse().map_err(|_| {
            refused(text, "an IPv4 address is four decimal numbers without leading zeros, such as 192.0.2.7")
        })?;
        return one(text, address.into());
    }
    let (name, is_below) = match host.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (host, false),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    check_name(text, &name)?;
    Ok(if is_below { Target::Below(name) } else { Target::Name(name) })
}

/// Whether a host is meant as an IPv4 address, in whatever spelling: browsers decide by the last part (URL standard,
/// "ends in a number").
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn check_name(text: &str, name: &str) -> Result<(), Invalid> {
    if name == "*" || name.is_empty() {
        return Err(refused(
            text,
            format_args!("it names everything or nothing; type {FORMS}, or --net public"),
        ));
    }
    if !name.is_ascii() {
        return Err(refused(text, "type the name as it is in DNS, with xn--"));
    }
    if name.contains('/') {
        return Err(refused(text, "a rule has no path; type the host alone"));
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(refused(text, format_args!("type {FORMS}")));
    }
    Ok(())
}

/// An address that can be reached at all. The others have a spelling of their own, or none.
fn one(text: &str, address: IpAddr) -> Result<Target, Invalid> {
    let canonical = address.to_canonical();
    if canonical.is_loopback() || canonical.is_unspecified() {
        return Err(refused(text, "for a port of this machine's loopback interface type host:PORT"));
    }
    if canonical.is_multicast() || canonical == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(refused(text, "no VM reaches multicast and broadcast addresses"));
    }
    let bits = if canonical.is_ipv4() { 32 } else { 128 };
    Ok(Target::Network { address: canonical, bits })
}

fn network(text: &str, address: &str, bits: &str) -> Result<Target, Invalid> {
    let address: IpAddr = address
        .parse()
        .map_err(|_| refused(text, "before the slash comes an address, such as 192.0.2.0/24"))?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|parsed: &u8| *parsed <= all && !bits.starts_with('+')).ok_or_else(
        || refused(text, format_args!("after the slash comes a number up to {all}, not {bits:?}")),
    )?;
    let start = first(address, bits);
    if start != address {
        return Err(refused(
            text,
            format_args!("the network is {start}/{bits}; for the one address type {address}"),
        ));
    }
    if bits == all {
        return one(text, address);
    }
    let nothing = [
        first(address, 8) == IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
        address.is_ipv4() && bits >= 4 && address.is_multicast(),
        address.is_ipv6() && bits >= 8 && address.is_multicast(),
    ];
    if nothing.contains(&true) {
        return Err(refused(
            text,
            "no VM reaches addresses of that network; for a port of this machine type host:PORT",
        ));
    }
    Ok(Target::Network { address, bits })
}

/// The first address of the network of `address` with this many fixed bits.
fn first(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0))
                .into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl Target {
    /// Whether this is a network that contains the address, which is in its shortest form (`to_canonical`).
    pub fn contains(&self, other: IpAddr) -> bool {
        match self {
            Self::Network { address, bits } => {
                address.is_ipv4() == other.is_ipv4() && first(other, *bits) == *address
            }
            Self::Name(_) | Self::Below(_) | Self::Host => false,
        }
    }

    /// Whether the host name, in small letters, is one that this target names.
    pub fn names(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => name == host,
            Self::Below(name) => host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.')),
            Self::Network { .. } | Self::Host => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Name(name) => f.write_str(name)?,
            Target::Below(name) => write!(f, "*.{name}")?,
            Target::Host => f.write_str("host")?,
            Target::Network { address, bits } => {
                let is_one = *bits == if address.is_ipv4() { 32 } else { 128 };
                let brackets = address.is_ipv6() && self.port.is_some();
                f.write_str(if brackets { "[" } else { "" })?;
                address.fmt(f)?;
                if !is_one {
                    write!(f, "/{bits}")?;
                }
                f.write_str(if brackets { "]" } else { "" })?;
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for Rule {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

/// The rules of the setting `allow`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Rules(pub Vec<Rule>);

impl TryFrom<Vec<String>> for Rules {
    type Error = Invalid;
    fn try_from(list: Vec<String>) -> Result<Self, Invalid> {
        list.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// Separated by commas, which no rule contains.
impl FromStr for Rules {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.0.iter().map(Rule::to_string).collect();
        f.write_str(if rules.is_empty() { "none" } else { "" })?;
        f.write_str(&rules.join(","))
    }
}

#[cfg(test)]
mod tests;
