//! A VM, decided: what the stages after the plan are told, and how a person reads it.

use super::Passthrough;
use crate::arch::Arch;
use crate::config::{Setting, Source};
use crate::host::{Accelerator, Os, Session, Window};
use crate::units::{HomeMiB, MiB, PciAddress, Vcpus, VmName, WindowSize};
use std::fmt;
use std::time::Duration;

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<T> {
    pub value: T,
    pub because: String,
}

impl<T> Choice<T> {
    pub(super) fn new(value: T, because: impl Into<String>) -> Self {
        Self { value, because: because.into() }
    }

    pub(super) fn said<S>(value: T, setting: &Setting<S>) -> Self {
        Self::new(value, setting.origin.to_string())
    }
}

/// How the guest's pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuMode {
    /// The host's OpenGL (virtio-gpu-gl).
    Virgl,
    /// Software rendering in the guest (virtio-gpu).
    Software,
    /// A physical GPU (VFIO); it has a monitor of its own.
    Passthrough(PciAddress),
}

impl fmt::Display for GpuMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Virgl => f.write_str("virgl"),
            Self::Software => f.write_str("software"),
            Self::Passthrough(address) => write!(f, "passthrough of {address}"),
        }
    }
}

/// How the host reaches the guest's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentLink {
    Vsock,
    /// A port of the host's loopback interface, forwarded into the guest.
    Loopback,
}

impl fmt::Display for AgentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vsock => "vsock",
            Self::Loopback => "loopback",
        })
    }
}

/// How the VM comes to its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Boot,
    /// From its checkpoint: a VM that was saved before it was anybody's. Where there is none yet, it boots and leaves one.
    Instant,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "boot",
            Self::Instant => "instant",
        })
    }
}

/// What becomes of the guest's /home at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// It lies on a disk of its own, of at most this size.
    Kept(HomeMiB),
    ThrownAway,
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(size) => write!(f, "kept, up to {size} MiB"),
            Self::ThrownAway => f.write_str("thrown away with the VM"),
        }
    }
}

/// How long the launch waits, by what runs the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For QEMU's answer and the guest's first words.
    pub life: Duration,
    /// For the session.
    pub ready: Duration,
    /// For the guest to power off.
    pub poweroff: Duration,
}

/// XKB's names, each safe as a word of the kernel's command line; empty means XKB's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xkb {
    pub layout: String,
    pub variant: String,
    pub model: String,
    pub options: String,
}

/// A VM, decided: all that is needed to write QEMU's command line, but for paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSpec {
    pub os: Os,
    pub arch: Arch,
    pub name: VmName,
    pub vcpus: Vcpus,
    pub memory: MiB,
    pub accelerator: Choice<Accelerator>,
    pub gpu: Choice<GpuMode>,
    /// All about it, where the GPU is a physical one.
    pub passthrough: Option<Passthrough>,
    pub window: Choice<Window>,
    /// It has no screen, so it has no terminal on one.
    pub headless: bool,
    pub start: Choice<Start>,
    /// The session that the window belongs to.
    pub session: Session,
    pub size: WindowSize,
    pub fullscreen: bool,
    pub keyboard: Choice<Xkb>,
    pub agent: Choice<AgentLink>,
    pub home: Home,
    pub kernel: Source,
    pub rootfs: Source,
    pub qemu: Source,
    pub patience: Patience,
}

/// The plan as a person reads it: a choice a line, with its reason.
impl fmt::Display for VmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |what: &str, value: &dyn fmt::Display, because: &str| match because {
            "" => writeln!(f, "{what:<12} {value}"),
            _ => writeln!(f, "{what:<12} {value}  ({because})"),
        };
        row("name", &self.name, "")?;
        row("arch", &self.arch, "")?;
        row("vcpus", &self.vcpus, "")?;
        row("memory", &format!("{} MiB", self.memory), "")?;
        row("accelerator", &self.accelerator.value, &self.accelerator.because)?;
        row("gpu", &self.gpu.value, &self.gpu.because)?;
        if let Some(passed) = &self.passthrough {
            row("vfio", &passed.backend.value, &passed.backend.because)?;
            let pack =
                passed.pack.value.as_ref().map_or("none".to_owned(), |pack| pack.display().to_string());
            row("gpu pack", &pack, &passed.pack.because)?;
            for write in passed.handover.writes() {
                row("as root", &write, "")?;
            }
        }
        row("window", &self.window.value, &self.window.because)?;
        row("start", &self.start.value, &self.start.because)?;
        row("size", &self.size, if self.fullscreen { "over the whole screen" } else { "" })?;
        row("keyboard", &self.keyboard.value, &self.keyboard.because)?;
        row("agent", &self.agent.value, &self.agent.because)?;
        row("home", &self.home, "")?;
        row("kernel", &self.kernel, "")?;
        row("rootfs", &self.rootfs, "")?;
        row("qemu", &self.qemu, "")
    }
}
