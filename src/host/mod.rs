//! What this machine is and can do: plain data, probed once. The only place that picks an OS file.
//! Must not know the configuration or QEMU.
//!
//! Probing says what looks usable; only running a guest proves it (a /dev/kvm that opens may still run
//! nothing). What a failed start taught comes back through [`HostFacts::without`].

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use crate::units::PciAddress;
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

/// A hardware accelerator of QEMU's, or TCG, its translator, which needs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Unavailable { because: String },
}

impl Availability {
    pub fn unavailable(because: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into() }
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

/// A display controller on the PCI bus (class 0x03).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciGpu {
    pub address: PciAddress,
    /// The driver it is bound to.
    pub driver: Option<String>,
    /// Its IOMMU group; none where the IOMMU is off.
    pub iommu_group: Option<u32>,
}

/// One of the things that a launch tries first and can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    Accelerator(Accelerator),
    /// OpenGL of the host for the guest.
    Gl,
    /// A window at all.
    Window,
    /// vsock between host and guest.
    Vsock,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerator(accelerator) => accelerator.fmt(f),
            Self::Gl => f.write_str("OpenGL"),
            Self::Window => f.write_str("the window"),
            Self::Vsock => f.write_str("vsock"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    pub os: Os,
    /// The hardware accelerator of this OS.
    pub accelerator: Accelerator,
    pub acceleration: Availability,
    pub session: Session,
    pub gl: Availability,
    /// Sockets between host and guest (vhost-vsock).
    pub vsock: Availability,
    pub keyboard: Option<HostKeyboard>,
    /// Memory of the machine in MiB; 0 where unknown.
    pub memory_mib: u64,
    pub gpus: Vec<PciGpu>,
}

/// Reads what this machine is. Opens a few device nodes, starts nothing, writes nothing.
pub fn probe() -> HostFacts {
    os::probe()
}

impl HostFacts {
    /// These facts, and what a failed start taught.
    #[must_use]
    pub fn without(mut self, rung: Rung, because: &str) -> Self {
        match rung {
            Rung::Accelerator(_) => self.acceleration = Availability::unavailable(because),
            Rung::Gl => self.gl = Availability::unavailable(because),
            Rung::Window => self.session = Session::None { because: because.to_owned() },
            Rung::Vsock => self.vsock = Availability::unavailable(because),
        }
        self
    }
}
