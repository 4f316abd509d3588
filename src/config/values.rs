//! The types of the settings that are choices: a small set of words, or a word or something else.

use crate::units::{Invalid, PciAddress};
use serde::Deserialize;
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

/// The option ROM that the VM's firmware and driver find on a passed GPU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub enum RomChoice {
    /// The card's own.
    Card,
    None,
    File(PathBuf),
}

impl From<PathBuf> for RomChoice {
    fn from(path: PathBuf) -> Self {
        match path.to_str() {
            Some("card") => Self::Card,
            Some("none") => Self::None,
            _ => Self::File(path),
        }
    }
}

impl fmt::Display for RomChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card => f.write_str("card"),
            Self::None => f.write_str("none"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Keyboards and mice of the host that a VM with a passed GPU gets, as the files of theirs below /dev/input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Inputs(pub Vec<PathBuf>);

/// Where the names that stay the same are: /dev/input/by-id/…-event-kbd and …-event-mouse.
pub fn input_path(text: &str) -> Result<PathBuf, Invalid> {
    let path = PathBuf::from(text);
    if path.starts_with("/dev/input") && !path.components().any(|part| part.as_os_str() == "..") {
        return Ok(path);
    }
    Err(Invalid(format!("input must be a file such as /dev/input/by-id/usb-…-event-kbd, not {text:?}")))
}

impl TryFrom<Vec<String>> for Inputs {
    type Error = Invalid;
    fn try_from(list: Vec<String>) -> Result<Self, Invalid> {
        list.iter().map(|text| input_path(text)).collect::<Result<_, _>>().map(Self)
    }
}

/// Several are separated by commas, which no name below /dev/input has.
impl FromStr for Inputs {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.split(',').map(input_path).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(if paths.is_empty() { "none" } else { "" })?;
        f.write_str(&paths.join(","))
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

/// Where a part of the VM comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub enum Source {
    /// The executable carries it.
    Embedded,
    /// A file of the user's.
    File(PathBuf),
}

impl Source {
    /// A relative path in the configuration file counts from the file's folder.
    pub fn anchored(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Embedded => Self::Embedded,
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "embedded" { Self::Embedded } else { Self::File(path) }
    }
}

impl From<std::ffi::OsString> for Source {
    fn from(path: std::ffi::OsString) -> Self {
        PathBuf::from(path).into()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::File(path) => path.display().fmt(f),
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
    fn keyboards_are_xkb_names_and_nothing_that_could_end_a_kernel_argument() {
        for good in ["us", "de(nodeadkeys)", "us,cz(,qwerty)", "in(hin-kagapa)"] {
            assert_eq!(good.parse::<KeyboardChoice>().unwrap().to_string(), good);
        }
        for bad in ["", "de nodeadkeys", "de init=/bin/sh", "(x)", "de(\")", "de=x", "de\n", "auto()"] {
            assert!(bad.parse::<KeyboardChoice>().is_err(), "{bad:?}");
        }
    }
}
