//! A physical GPU that is passed to the VM, and what belongs to it.

use super::{BindPlan, Choice, Input, RomChoice};
use std::fmt;
use std::path::PathBuf;

/// A physical GPU for the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    pub bind_plan: BindPlan,
    pub backend: Choice<Backend>,
    pub rom: RomChoice,
    /// Respond at the legacy VGA addresses.
    pub x_vga: bool,
    /// The host's keyboards and mice that are passed, too.
    pub inputs: Vec<Input>,
    /// The folder with its drivers, if there is one.
    pub pack: Choice<Option<PathBuf>>,
    /// How many bytes QEMU locks.
    pub locked: u64,
}

/// The kernel's interface that QEMU maps the VM's memory with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Iommufd,
    /// VFIO's containers and groups.
    Type1,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iommufd => "iommufd",
            Self::Type1 => "type1",
        })
    }
}

/// How to make a GPU pack.
pub const MAKE_PACK: &str = "in VirtualGhost's source: make gpu-pack";
