//! The host's keyboards and mice that are passed to a VM with a passed GPU.

use super::units::Invalid;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A USB device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsbAddress {
    /// By its ids, as lsusb(8) prints them: `046d:c52b`.
    Ids { vendor: u16, product: u16 },
    /// By the port it is plugged into, as the kernel names it: `1-2`, or behind a hub `1-2.4`.
    Port { bus: u8, port: String },
}

impl UsbAddress {
    fn parse(text: &str) -> Option<Self> {
        if let Some((vendor, product)) = text.split_once(':') {
            let id = |text: &str| {
                let plain = text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
                plain.then(|| u16::from_str_radix(text, 16).ok()).flatten()
            };
            return Some(Self::Ids { vendor: id(vendor)?, product: id(product)? });
        }
        let number = |text: &str| {
            let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse::<u8>().ok()).flatten()
        };
        let (bus, port) = text.split_once('-')?;
        port.split('.').all(|part| number(part).is_some()).then_some(())?;
        Some(Self::Port { bus: number(bus)?, port: port.to_owned() })
    }
}

impl fmt::Display for UsbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids { vendor, product } => write!(f, "{vendor:04x}:{product:04x}"),
            Self::Port { bus, port } => write!(f, "{bus}-{port}"),
        }
    }
}

/// A keyboard or mouse of the host that is passed to a VM with a passed GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its file below /dev/input. Stable names are in by-id: …-event-kbd and …-event-mouse.
    Evdev(PathBuf),
    /// The USB device itself: `usb:` and its address.
    Usb(UsbAddress),
}

impl FromStr for Input {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let path = PathBuf::from(text);
        if path.starts_with("/dev/input") && !path.components().any(|part| part.as_os_str() == "..") {
            return Ok(Self::Evdev(path));
        }
        text.strip_prefix("usb:").and_then(UsbAddress::parse).map(Self::Usb).ok_or_else(|| {
            Invalid(format!(
                "input must be a file such as /dev/input/by-id/usb-…-event-kbd, usb:VENDOR:PRODUCT as lsusb prints it \
                 (usb:046d:c52b) or usb:BUS-PORT (usb:1-2.4), not {text:?}"
            ))
        })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evdev(path) => path.display().fmt(f),
            Self::Usb(address) => write!(f, "usb:{address}"),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Inputs(pub Vec<Input>);

impl TryFrom<Vec<String>> for Inputs {
    type Error = Invalid;
    fn try_from(list: Vec<String>) -> Result<Self, Invalid> {
        list.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// Separated by commas, which no name below /dev/input contains.
impl FromStr for Inputs {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.0.iter().map(Input::to_string).collect();
        f.write_str(if inputs.is_empty() { "none" } else { "" })?;
        f.write_str(&inputs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_files_below_dev_input_or_usb_devices() {
        for good in [
            "/dev/input/by-id/usb-k-event-kbd",
            "usb:046d:c52b",
            "usb:1-2",
            "usb:3-1.4.2",
            "usb:1-2,usb:0001:00ff",
        ] {
            assert_eq!(good.parse::<Inputs>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "/dev/sda",
            "/dev/input/../sda",
            "usb:",
            "usb:46d:c52b",
            "usb:046d",
            "usb:1-",
            "usb:1-2.",
            "usb:0-1",
            "usb:1-2,hostbus=2",
            "usb:1-+2",
        ] {
            assert!(bad.parse::<Inputs>().is_err(), "{bad:?}");
        }
    }
}
