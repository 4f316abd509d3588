//! The types of the settings that are choices: a small set of words, or a word or something else.

use crate::units::{Invalid, PciAddress};
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An enum of words: parsed, printed and listed from one place.
macro_rules! choice {
    ($(#[$meta:meta])* $type:ident as $name:literal { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub enum $type { $($variant),+ }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Invalid(format!(
                        "{} must be one of {}, not {text:?}", $name, [$($word),+].join(", ")
                    ))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

choice! {
    /// Which accelerator; all but `Auto` force it.
    AccelChoice as "accel" { Auto = "auto", Kvm = "kvm", Hvf = "hvf", Whpx = "whpx", Tcg = "tcg" }
}
choice! {
    /// Which of QEMU's windows; all but `Auto` force it.
    DisplayChoice as "display" { Auto = "auto", Gtk = "gtk", Sdl = "sdl", Cocoa = "cocoa", None = "none" }
}
choice! {
    /// Whether the host's OpenGL serves the guest (virgl).
    GlChoice as "gl" { Auto = "auto", On = "on", Off = "off" }
}

choice! {
    /// How the VM comes to its prompt; `Instant` forces.
    StartChoice as "start" { Auto = "auto", Instant = "instant", Boot = "boot" }
}

/// Which physical GPU the VM gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum GpuChoice {
    None,
    /// The only eligible one.
    Auto,
    Address(PciAddress),
}

impl FromStr for GpuChoice {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            address => address.parse().map(Self::Address).map_err(|Invalid(because)| {
                Invalid(format!("gpu must be none, auto or a PCI address: {because}"))
            }),
        }
    }
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Auto => f.write_str("auto"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// An enum of words and, for any other text, a path.
macro_rules! path_choice {
    ($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(from = "PathBuf")]
        pub enum $type {
            $($(#[$variant_meta])* $variant,)+
            File(PathBuf),
        }

        impl $type {
            /// A relative path in the configuration file counts from the file's folder.
            pub fn anchored(self, folder: &Path) -> Self {
                match self {
                    Self::File(path) => Self::File(folder.join(path)),
                    word => word,
                }
            }
        }

        impl From<PathBuf> for $type {
            fn from(path: PathBuf) -> Self {
                match path.to_str() {
                    $(Some($word) => Self::$variant,)+
                    _ => Self::File(path),
                }
            }
        }

        impl From<OsString> for $type {
            fn from(path: OsString) -> Self {
                PathBuf::from(path).into()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)+
                    Self::File(path) => path.display().fmt(f),
                }
            }
        }
    };
}

path_choice! {
    /// Where a part of the VM comes from.
    Source {
        /// The executable carries it.
        Embedded = "embedded",
    }
}
path_choice! {
    /// The option ROM that the VM's firmware and driver find on a passed GPU.
    RomChoice {
        /// The card's own.
        Card = "card",
        None = "none",
    }
}
path_choice! {
    /// The folder with the drivers of physical GPUs (`make gpu-pack`).
    PackChoice {
        /// The one in the user's data folder, if it is there.
        Auto = "auto",
        None = "none",
    }
}

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

/// A keyboard or mouse of the host that a VM with a passed GPU gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its file below /dev/input. The names that stay the same are in by-id: …-event-kbd and …-event-mouse.
    Evdev(PathBuf),
    /// The device itself: `usb:` and where it is.
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

/// Several are separated by commas, which no name below /dev/input has.
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

/// An XKB layout and, in parentheses, its variant; several go side by side with commas, as XKB has it:
/// `de(nodeadkeys)`, `us,ru`, `us,cz(,qwerty)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyboardLayout {
    pub layout: String,
    pub variant: String,
}

impl FromStr for KeyboardLayout {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Only what XKB's rule files use: the text ends up on the kernel's command line.
        let word = |s: &str| {
            s.len() <= 100 && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ','))
        };
        let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (layout, variant) = parts.filter(|(_, variant)| !variant.is_empty()).unwrap_or((text, ""));
        if layout.is_empty() || !word(layout) || !word(variant) {
            return Err(Invalid(format!(
                "keyboard must be auto, an XKB layout such as de, or one with its variant such as de(nodeadkeys), not {text:?}"
            )));
        }
        Ok(Self { layout: layout.to_owned(), variant: variant.to_owned() })
    }
}

impl fmt::Display for KeyboardLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variant.as_str() {
            "" => f.write_str(&self.layout),
            variant => write!(f, "{}({variant})", self.layout),
        }
    }
}

/// The guest's keyboard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum KeyboardChoice {
    /// The host's.
    Auto,
    Layout(KeyboardLayout),
}

impl FromStr for KeyboardChoice {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(Self::Auto),
            layout => layout.parse().map(Self::Layout),
        }
    }
}

impl fmt::Display for KeyboardChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}

/// Lets serde take these from a TOML string.
macro_rules! from_string {
    ($($type:ty),+) => {$(
        impl TryFrom<String> for $type {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }
    )+};
}
from_string!(AccelChoice, DisplayChoice, GlChoice, GpuChoice, KeyboardChoice, StartChoice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_lists_the_right_ones() {
        assert_eq!(
            "kwm".parse::<AccelChoice>().unwrap_err().0,
            "accel must be one of auto, kvm, hvf, whpx, tcg, not \"kwm\""
        );
    }

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

    #[test]
    fn keyboards_are_xkb_names_and_nothing_that_could_end_a_kernel_argument() {
        for good in ["us", "de(nodeadkeys)", "us,cz(,qwerty)", "in(hin-kagapa)"] {
            assert_eq!(good.parse::<KeyboardChoice>().unwrap().to_string(), good);
        }
        for bad in ["", "de nodeadkeys", "de init=/bin/sh", "(x)", "de(\")", "de=x", "de\n", "auto()"] {
            assert!(bad.parse::<KeyboardChoice>().is_err(), "{bad:?}");
        }
    }
}
