//! What this machine is and can do: plain data, probed once. The only place that picks an OS file.
//! Must not know the configuration or QEMU.
//!
//! Probing says what looks usable; only running a guest proves it (a /dev/kvm that opens may still run
//! nothing). What a failed start taught comes back through [`HostFacts::without`].

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use crate::arch::Arch;
use crate::vfio;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

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

/// A hardware accelerator of QEMU's, or TCG, its translator, which needs nothing.
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

/// Whether something can be used, and if not, why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    Available,
    /// It failed at an earlier start: not chosen, but tried if it is forced.
    Doubtful {
        because: String,
    },
    Unavailable {
        because: String,
        /// What to type, if that helps.
        fix: Option<String>,
    },
}

impl Availability {
    pub fn unavailable(because: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into(), fix: None }
    }

    /// The same, and what to type.
    pub fn until(because: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into(), fix: Some(fix.into()) }
    }

    /// Why it is not to be chosen, if it isn't.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Available => None,
            Self::Doubtful { because } | Self::Unavailable { because, .. } => Some(because),
        }
    }

    /// Why it can't be had, if it can't.
    pub fn obstacle(&self) -> Option<&str> {
        match self {
            Self::Available | Self::Doubtful { .. } => None,
            Self::Unavailable { because, .. } => Some(because),
        }
    }

    pub fn fix(&self) -> Option<&str> {
        match self {
            Self::Unavailable { fix, .. } => fix.as_deref(),
            Self::Available | Self::Doubtful { .. } => None,
        }
    }
}

/// What shows the guest's screen on the host: one of QEMU's toolkits.
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

/// The host's keyboard: XKB's names, and where they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyboard {
    pub layout: String,
    pub variant: String,
    pub model: String,
    pub options: String,
    pub found_in: &'static str,
}

/// One of the things that a launch tries first and can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    Accelerator(Accelerator),
    /// OpenGL of the host for the guest.
    Gl,
    /// A window of this toolkit.
    Window(Window),
    /// vsock between host and guest.
    Vsock,
    /// A start from a saved VM.
    Checkpoint,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerator(accelerator) => accelerator.fmt(f),
            Self::Gl => f.write_str("OpenGL"),
            Self::Window(window) => write!(f, "the window of {window}"),
            Self::Vsock => f.write_str("vsock"),
            Self::Checkpoint => f.write_str("an instant start"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    pub os: Os,
    /// None where it is one that no guest is made for.
    pub arch: Option<Arch>,
    /// Stands for this machine and its system, and tells nothing of them.
    pub machine: String,
    /// The hardware accelerator of this OS.
    pub accelerator: Accelerator,
    pub acceleration: Availability,
    pub session: Session,
    /// The toolkits of this OS, the best first.
    pub windows: Vec<(Window, Availability)>,
    pub gl: Availability,
    /// Sockets between host and guest (vhost-vsock).
    pub vsock: Availability,
    /// Saving a VM, and starting from it.
    pub checkpoint: Availability,
    pub keyboard: Option<HostKeyboard>,
    /// Memory of the machine in MiB, and what of it can be had now; 0 where unknown.
    pub memory_mib: u64,
    pub available_mib: u64,
    /// The PCI bus, as far as passthrough goes; empty where there is none, and where it was not asked for.
    pub pci: vfio::Facts,
    pub gpu_pack: GpuPack,
}

/// The drivers of physical GPUs, in the user's data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuPack {
    pub folder: PathBuf,
    pub is_there: bool,
}

/// Reads what this machine is, but for its PCI bus ([`HostFacts::with_pci`]). Opens a few device nodes, starts nothing,
/// writes nothing.
pub fn probe() -> HostFacts {
    os::probe()
}

/// Of the processor that this program was made for.
fn arch() -> Option<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

/// A name for what `parts` describe, which does not give them away (machine-id(5) asks for that).
fn fingerprint(parts: &[&str]) -> String {
    blake3::derive_key("virtualghost 2026 machine", parts.join("\0").as_bytes())[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl HostFacts {
    /// These facts, and the PCI bus: hundreds of files, and only passthrough is about them.
    #[must_use]
    pub fn with_pci(self) -> Self {
        Self { pci: vfio::os::probe(), ..self }
    }

    /// Whether the hardware accelerator can run a guest of this architecture.
    pub fn acceleration_of(&self, guest: Arch) -> Availability {
        match self.arch {
            Some(host) if host == guest => self.acceleration.clone(),
            _ => Availability::unavailable(format!("this machine is not {guest}, as the VM is")),
        }
    }

    /// These facts, and what a failed start taught.
    #[must_use]
    pub fn without(mut self, rung: Rung, because: &str) -> Self {
        if let Some(availability) = self.availability(rung) {
            *availability = Availability::unavailable(because);
        }
        self
    }

    /// These facts, and what failed at an earlier start.
    #[must_use]
    pub fn doubting(mut self, rung: Rung, because: &str) -> Self {
        // What the probe has found out is newer.
        if let Some(availability @ Availability::Available) = self.availability(rung) {
            *availability = Availability::Doubtful { because: because.to_owned() };
        }
        self
    }

    fn availability(&mut self, rung: Rung) -> Option<&mut Availability> {
        match rung {
            Rung::Accelerator(accelerator) => {
                (accelerator == self.accelerator).then_some(&mut self.acceleration)
            }
            Rung::Gl => Some(&mut self.gl),
            Rung::Window(window) => {
                let found = self.windows.iter_mut().find(|(kind, _)| *kind == window);
                found.map(|(_, availability)| availability)
            }
            Rung::Vsock => Some(&mut self.vsock),
            Rung::Checkpoint => Some(&mut self.checkpoint),
        }
    }
}
