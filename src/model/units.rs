//! Newtypes for amounts, names and addresses, each with its range, so that every value is valid.

mod names;

pub use names::{Hostname, SnapshotTag, VmName};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Why a text or number is not a value of its type; the message has the allowed form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    fn number(name: &str, text: &str, because: ParseIntError) -> Self {
        Self(format!("{name} must be a whole number, not {text:?} ({because})"))
    }
}

/// A whole number within a range, with its unit in its name.
macro_rules! bounded {
    ($(#[$meta:meta])* $type:ident($int:ty) = $name:literal, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "i64")]
        pub struct $type($int);

        impl $type {
            pub const MIN: $int = $min;
            pub const MAX: $int = $max;

            pub fn get(self) -> $int {
                self.0
            }
        }

        impl TryFrom<i64> for $type {
            type Error = Invalid;
            fn try_from(n: i64) -> Result<Self, Invalid> {
                match <$int>::try_from(n) {
                    Ok(n) if (Self::MIN..=Self::MAX).contains(&n) => Ok(Self(n)),
                    _ => Err(Invalid(format!(
                        "{} must be from {} to {}, not {n}", $name, Self::MIN, Self::MAX
                    ))),
                }
            }
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.parse::<i64>().map_err(|e| Invalid::number($name, text, e))?.try_into()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded! {
    /// Virtual CPUs. 255 is the most that works without an interrupt-remapping IOMMU (8-bit APIC ids).
    Vcpus(u32) = "vcpus", 1..=255
}
bounded! {
    /// Guest memory in MiB. Below 256 MiB the terminal does not start; above 1 TiB is a typo.
    MemorySize(u64) = "memory (MiB)", 256..=1_048_576
}
bounded! {
    /// Size of a home disk in MiB, up to ext4's 16 TiB. Smaller than 64 MiB has no room for a journal.
    HomeSize(u64) = "home_size (MiB)", 64..=16_777_216
}
bounded! {
    /// Size of the guest's root disk in MiB. The image is not smaller than 8 GiB; it has room to grow to 4 TiB.
    RootSize(u64) = "root_size (MiB)", 8_192..=4_194_304
}
bounded! {
    /// A time limit in seconds.
    Seconds(u64) = "seconds", 1..=3_600
}

bounded! {
    /// The factor for time limits under TCG.
    TcgTimeoutFactor(u64) = "tcg_timeout_factor", 1..=1_000
}

impl MemorySize {
    pub fn bytes(self) -> u64 {
        self.0 << 20
    }
}

impl HomeSize {
    pub fn bytes(self) -> u64 {
        self.0 << 20
    }
}

impl RootSize {
    pub fn bytes(self) -> u64 {
        self.0 << 20
    }
}

/// The window's first size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WindowSize {
    pub width: u32,
    pub height: u32,
}

impl WindowSize {
    /// Smaller windows have no space for a line of the terminal; 16384 is virgl's largest texture.
    const SIDE: std::ops::RangeInclusive<u32> = 160..=16_384;
}

impl FromStr for WindowSize {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let side = |s: &str| s.parse().ok().filter(|n| Self::SIDE.contains(n));
        text.split_once('x').and_then(|(w, h)| Some(Self { width: side(w)?, height: side(h)? })).ok_or_else(
            || {
                Invalid(format!(
                    "size must be WIDTHxHEIGHT in pixels, each from {} to {}, not {text:?}",
                    Self::SIDE.start(),
                    Self::SIDE.end()
                ))
            },
        )
    }
}

impl TryFrom<String> for WindowSize {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for WindowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A PCI function's address, `DOMAIN:BUS:DEVICE.FUNCTION` in hexadecimal (BDF). Linux writes domains of
/// up to 32 bits (VMD and Hyper-V have them). `01:00.0` means domain 0, as in lspci.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl FromStr for PciAddress {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse_pci(text).ok_or_else(|| {
            Invalid(format!("a PCI address is like 0000:01:00.0 (see `lspci -D`), not {text:?}"))
        })
    }
}

impl TryFrom<String> for PciAddress {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

fn parse_pci(text: &str) -> Option<PciAddress> {
    fn hex(s: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
        let plain = digits.contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(s, 16).ok()).flatten()
    }
    let (rest, function) = text.split_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0000", rest));
    let address = PciAddress {
        domain: hex(domain, 4..=8)?,
        bus: hex(bus, 2..=2)? as u8,
        device: hex(device, 2..=2)? as u8,
        function: hex(function, 1..=1)? as u8,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_outside_their_range_name_the_range() {
        let names = |refused: Invalid, range: [&str; 2]| range.iter().all(|bound| refused.0.contains(bound));
        assert!(names("0".parse::<Vcpus>().unwrap_err(), ["1", "255"]));
        assert!(names(MemorySize::try_from(-1).unwrap_err(), ["256", "1048576"]));
        assert_eq!("255".parse::<Vcpus>().unwrap().get(), 255);
        assert!("2 GiB".parse::<MemorySize>().unwrap_err().0.contains("2 GiB"));
    }

    #[test]
    fn names_are_host_names() {
        for good in ["default", "a", "web-1", &"a".repeat(63)] {
            assert_eq!(good.parse::<VmName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", "a-", "a/b", "..", "a b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<VmName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn host_names_are_labels_up_to_linuxs_limit() {
        for good in ["a", "Web-1", "web.example.org", &format!("{}.a", "a".repeat(62))] {
            assert_eq!(good.parse::<Hostname>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "a.",
            "-a",
            "a-",
            "a_b",
            "a b",
            "ä",
            "a init=/bin/sh",
            &"a".repeat(64),
            &"a.".repeat(33),
        ] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pci_addresses_take_the_forms_of_lspci() {
        let short: PciAddress = "01:00.0".parse().unwrap();
        assert_eq!(short, "0000:01:00.0".parse().unwrap());
        assert_eq!("10000:e1:00.0".parse::<PciAddress>().unwrap().domain, 0x10000);
        for bad in ["", "01:00", "1:00.0", "01:20.0", "01:00.8", "01:00.0 ", "+1:00.0", "0:01:00.0"] {
            assert!(bad.parse::<PciAddress>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in ".*") {
            let _ = text.parse::<PciAddress>();
            let _ = text.parse::<WindowSize>();
            let _ = text.parse::<VmName>();
        }

        #[test]
        fn a_pci_address_survives_its_own_text(domain: u32, bus: u8, device in 0u8..32, function in 0u8..8) {
            let address = PciAddress { domain, bus, device, function };
            prop_assert_eq!(address.to_string().parse::<PciAddress>().unwrap(), address);
        }
    }
}

#[cfg(all(test, unix))]
mod texts;
