//! Where QEMU runs: operating system, accelerator, window toolkit, graphical session.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Linux,
    MacOs,
    Windows,
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::MacOs => "macOS",
            Self::Windows => "Windows",
        })
    }
}

/// One of QEMU's hardware accelerators, or TCG, its emulation, which always works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    Kvm,
    Hvf,
    Whpx,
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Hvf => "HVF",
            Self::Whpx => "WHPX",
            Self::Tcg => "TCG",
        })
    }
}

/// The systemd(1) that can give QEMU a control group: the machine's for root, else the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceManager {
    System,
    User,
}

/// The toolkit of QEMU's window on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    Gtk,
    Sdl,
    Cocoa,
    None,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gtk => "gtk",
            Self::Sdl => "sdl",
            Self::Cocoa => "cocoa",
            Self::None => "none",
        })
    }
}

/// The graphical session that the program was started in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// With the name of the display or socket.
    X11(String),
    Wayland(String),
    /// The desktop of macOS or Windows.
    Native,
    None {
        because: String,
    },
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X11(display) => write!(f, "X11, {display}"),
            Self::Wayland(socket) => write!(f, "Wayland, {socket}"),
            Self::Native => f.write_str("the desktop"),
            Self::None { because } => write!(f, "no session: {because}"),
        }
    }
}
