//! Facts about this machine: plain data, probed once. Must not know the configuration or QEMU.
//!
//! A probe shows what looks usable; only running a guest proves it (/dev/kvm may open and still run nothing). Features that
//! failed are disabled with [`HostFacts::disable`].

pub mod git;
#[cfg(target_os = "linux")]
mod keyboard;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;
pub mod pci;
mod timezone;
#[cfg(target_os = "linux")]
pub mod x11;

use crate::model::{Accelerator, Arch, Enforcement, Feature, Os, ServiceManager, Session, Window};
use pci::PciFacts;
use std::path::PathBuf;
pub use timezone::HostTimezone;

/// Whether something is available, and if not, why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    Available,
    /// It failed at an earlier start: used only if it is forced.
    Doubtful {
        because: String,
    },
    Unavailable {
        because: String,
        /// What to type, if there is a fix.
        fix: Option<String>,
    },
}

impl Availability {
    pub fn unavailable(because: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into(), fix: None }
    }

    /// Unavailable, with a fix.
    pub fn unavailable_with_fix(because: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unavailable { because: because.into(), fix: Some(fix.into()) }
    }

    /// Why it should not be chosen by default, if so.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Available => None,
            Self::Doubtful { because } | Self::Unavailable { because, .. } => Some(because),
        }
    }

    /// Why it is not available, if so.
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

/// The host's keyboard: XKB's names, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyboard {
    pub layout: String,
    pub variant: String,
    pub model: String,
    pub options: String,
    pub found_in: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    pub os: Os,
    /// None for an architecture that there are no guests for.
    pub arch: Option<Arch>,
    /// An opaque fingerprint of this machine and its operating system.
    pub machine: String,
    /// The hardware accelerator of this OS.
    pub accelerator: Accelerator,
    pub acceleration: Availability,
    pub session: Session,
    /// The toolkits of this OS, best first.
    pub windows: Vec<(Window, Availability)>,
    pub gl: Availability,
    /// Sockets between host and guest (vhost-vsock).
    pub vsock: Availability,
    /// Confining QEMU.
    pub jail: Availability,
    pub jail_enforcement: Enforcement,
    pub service_manager: Option<ServiceManager>,
    /// The host's OpenGL in the strict jail.
    pub gl_in_strict_jail: Availability,
    /// Saving and restoring checkpoints.
    pub checkpoint: Availability,
    pub keyboard: Option<HostKeyboard>,
    /// Or why it has none that a guest could have too.
    pub timezone: Result<HostTimezone, String>,
    /// Memory of the machine in MiB, and how much of it is available now; None where unknown.
    pub memory_mib: Option<u64>,
    pub available_mib: Option<u64>,
    /// The PCI bus, for passthrough; empty if there is none, or it was not probed.
    pub pci: PciFacts,
    pub gpu_pack: GpuPack,
}

/// The drivers of physical GPUs, in the user's data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuPack {
    pub folder: PathBuf,
    pub is_there: bool,
}

/// Probes this machine, except for its PCI bus ([`HostFacts::with_pci`]). Opens a few device nodes; starts and writes
/// nothing.
pub fn probe() -> HostFacts {
    os::probe()
}

/// The architecture that this program was compiled for.
fn arch() -> Option<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

/// A hash of `parts` that does not reveal them (as machine-id(5) requires).
fn fingerprint(parts: &[&str]) -> String {
    blake3::derive_key("virtualghost 2026 machine", parts.join("\0").as_bytes())[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl HostFacts {
    /// Adds the PCI bus: hundreds of files, which only passthrough needs.
    #[must_use]
    pub fn with_pci(self) -> Self {
        Self { pci: pci::probe(), ..self }
    }

    /// Whether the hardware accelerator can run a guest of this architecture.
    pub fn acceleration_of(&self, guest: Arch) -> Availability {
        match self.arch {
            Some(host) if host == guest => self.acceleration.clone(),
            _ => Availability::unavailable(format!("the VM is {guest}, and this machine is not")),
        }
    }

    /// Makes a feature that failed unavailable.
    #[must_use]
    pub fn disable(mut self, feature: Feature, because: &str) -> Self {
        if let Some(availability) = self.availability(feature) {
            *availability = Availability::unavailable(because);
        }
        self
    }

    /// Marks a feature that failed at an earlier start.
    #[must_use]
    pub fn mark_doubtful(mut self, feature: Feature, because: &str) -> Self {
        // The result of the probe is newer.
        if let Some(availability @ Availability::Available) = self.availability(feature) {
            *availability = Availability::Doubtful { because: because.to_owned() };
        }
        self
    }

    fn availability(&mut self, feature: Feature) -> Option<&mut Availability> {
        match feature {
            Feature::Accelerator(accelerator) => {
                (accelerator == self.accelerator).then_some(&mut self.acceleration)
            }
            Feature::Gl => Some(&mut self.gl),
            Feature::Window(window) => {
                let found = self.windows.iter_mut().find(|(kind, _)| *kind == window);
                found.map(|(_, availability)| availability)
            }
            Feature::StrictJail => Some(&mut self.gl_in_strict_jail),
            Feature::Vsock => Some(&mut self.vsock),
            Feature::Checkpoint => Some(&mut self.checkpoint),
        }
    }
}

#[cfg(all(test, unix))]
mod texts;
