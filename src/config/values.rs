//! The types of the settings that are choices: one of a few words, or a word or something else.

use crate::model::units::{Hostname, Invalid, PciAddress};
use crate::model::{Net, Timezone, is_xkb_name, path_choice};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// An enum of words: parsed, printed and listed from one place.
macro_rules! choice {
    ($(#[$meta:meta])* $type:ident as $name:literal { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub enum $type { $($variant),+ }

        impl $type {
            /// Every word, in the order of the variants.
            pub const WORDS: &[&str] = &[$($word),+];
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Invalid(format!(
                        "{} must be one of {}, not {text:?}", $name, Self::WORDS.join(", ")
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
    /// The accelerator; every value but `Auto` is forced.
    AccelChoice as "accel" { Auto = "auto", Kvm = "kvm", Hvf = "hvf", Whpx = "whpx", Tcg = "tcg" }
}
choice! {
    /// QEMU's window; every value but `Auto` is forced.
    DisplayChoice as "display" { Auto = "auto", Gtk = "gtk", Sdl = "sdl", Cocoa = "cocoa", None = "none" }
}
choice! {
    /// Whether the guest uses the host's OpenGL (virgl).
    GlChoice as "gl" { Auto = "auto", On = "on", Off = "off" }
}

choice! {
    /// How a VM starts; `Instant` is forced.
    StartChoice as "start" { Auto = "auto", Instant = "instant", Boot = "boot" }
}

choice! {
    /// What of a VM is there at its next start.
    KeepChoice as "keep" { Auto = "auto", Home = "home", System = "system", Nothing = "nothing" }
}

choice! {
    /// What of the network a VM reaches.
    NetChoice as "net" { Public = "public", Open = "open", Off = "off" }
}

choice! {
    /// What of the guest's ports appears on the host.
    PortsChoice as "ports" { Auto = "auto", Ask = "ask", Off = "off" }
}

impl From<Net> for NetChoice {
    fn from(net: Net) -> Self {
        match net {
            Net::Public => Self::Public,
            Net::Open => Self::Open,
            Net::Off => Self::Off,
        }
    }
}

impl From<NetChoice> for Net {
    fn from(choice: NetChoice) -> Self {
        match choice {
            NetChoice::Public => Self::Public,
            NetChoice::Open => Self::Open,
            NetChoice::Off => Self::Off,
        }
    }
}

choice! {
    /// How far QEMU is confined; every value but `Auto` is forced.
    JailChoice as "jail" { Auto = "auto", Strict = "strict", GpuWide = "gpu-wide", Off = "off" }
}

/// The physical GPU that is passed to the VM.
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

path_choice! {
    /// The folder with the drivers of physical GPUs (`make gpu-pack`).
    PackChoice {
        /// The one in the user's data folder, if it exists.
        Auto = "auto",
        None = "none",
    }
}

/// An XKB layout and, in parentheses, its variant. Several are separated by commas, as in XKB: `de(nodeadkeys)`, `us,ru`,
/// `us,cz(,qwerty)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyboardLayout {
    pub layout: String,
    pub variant: String,
}

impl FromStr for KeyboardLayout {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (layout, variant) = parts.filter(|(_, variant)| !variant.is_empty()).unwrap_or((text, ""));
        if layout.is_empty() || !is_xkb_name(layout) || !is_xkb_name(variant) {
            return Err(Invalid(format!(
                "keyboard must be auto, an XKB layout such as de, or a layout with its variant such as de(nodeadkeys), not {text:?}"
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

/// The guest's name for itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HostnameChoice {
    /// The VM's name.
    Auto,
    Name(Hostname),
}

impl FromStr for HostnameChoice {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(Self::Auto),
            name => name.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for HostnameChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Name(name) => name.fmt(f),
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

/// The guest's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TimezoneChoice {
    /// The host's.
    Auto,
    Zone(Timezone),
}

impl FromStr for TimezoneChoice {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(Self::Auto),
            zone => zone.parse().map(Self::Zone),
        }
    }
}

impl fmt::Display for TimezoneChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Zone(zone) => zone.fmt(f),
        }
    }
}

/// Parses these from a TOML string, for serde.
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
from_string!(
    AccelChoice,
    DisplayChoice,
    GlChoice,
    GpuChoice,
    HostnameChoice,
    JailChoice,
    KeepChoice,
    KeyboardChoice,
    NetChoice,
    PortsChoice,
    StartChoice,
    TimezoneChoice
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_wrong_word_lists_the_valid_ones() {
        let refused = "kwm".parse::<AccelChoice>().unwrap_err().0;
        for word in ["auto", "kvm", "hvf", "whpx", "tcg", "kwm"] {
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_keyboard_is_an_xkb_name_and_never_ends_a_kernel_argument() {
        for good in ["us", "de(nodeadkeys)", "us,cz(,qwerty)", "in(hin-kagapa)"] {
            assert_eq!(good.parse::<KeyboardChoice>().unwrap().to_string(), good);
        }
        for bad in ["", "de nodeadkeys", "de init=/bin/sh", "(x)", "de(\")", "de=x", "de\n", "auto()"] {
            assert!(bad.parse::<KeyboardChoice>().is_err(), "{bad:?}");
        }
    }
}
