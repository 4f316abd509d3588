//! The plan of a VM: the input of all later stages, and how it is printed.

use super::units::{HomeSize, Hostname, MemorySize, PciAddress, RootSize, Vcpus, VmName, WindowSize};
use super::{
    Accelerator, Feature, GuestPath, Initrd, Net, Os, Passthrough, Ports, Publish, Rule, ServiceManager,
    Session, SharedFolder, Source, Terminal, Timezone, Window,
};
use crate::model::Arch;
use crate::protocol::GitIdentity;
use std::fmt;
use std::time::Duration;

/// A choice and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<T> {
    pub value: T,
    pub because: String,
    /// The user has set it.
    pub is_explicit: bool,
}

impl<T> Choice<T> {
    pub fn new(value: T, because: impl Into<String>) -> Self {
        Self { value, because: because.into(), is_explicit: false }
    }

    /// A value that the user set, and where (`origin`).
    pub fn explicit(value: T, origin: &impl fmt::Display) -> Self {
        Self { value, because: origin.to_string(), is_explicit: true }
    }
}

/// How the guest renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuMode {
    /// The host's OpenGL (virtio-gpu-gl).
    Virgl,
    /// Software rendering in the guest (virtio-gpu).
    Software,
    /// A physical GPU (VFIO), with its own monitor.
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
    /// A private socket in the VM's folder, which the network card's peer leads into the guest (Unix).
    Socket,
    /// A port of the host's loopback interface, forwarded into the guest (Windows).
    Loopback,
}

impl fmt::Display for AgentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vsock => "vsock",
            Self::Socket => "socket",
            Self::Loopback => "loopback",
        })
    }
}

/// How the VM starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Boot,
    /// Resume a checkpoint: a VM that was saved before it got an identity. If there is none, boot and save one.
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

/// The files and devices of the host that QEMU can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jail {
    /// Those of this VM, and what its window needs of the system.
    Strict,
    /// Also those of graphics drivers in unusual places: all software of the system, and all devices.
    GpuWide,
    /// All of the user's.
    Off,
}

impl fmt::Display for Jail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::GpuWide => "gpu-wide",
            Self::Off => "off",
        })
    }
}

/// What of the kernel keeps QEMU in its jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// Rules of access (landlock(7)).
    Landlock,
    /// A root of its own (mount_namespaces(7)).
    Namespaces,
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Landlock => "Landlock",
            Self::Namespaces => "user and mount namespaces",
        })
    }
}

/// What of a VM is there at its next start. Each includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    Nothing,
    /// /home, which has a disk of its own.
    Home,
    /// The root filesystem, with all that was installed.
    System,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Home => "home",
            Self::System => "system",
        })
    }
}

/// The launch's time limits, which depend on the accelerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// For QEMU's first reply and the guest's first output.
    pub boot: Duration,
    /// For a ready session.
    pub ready: Duration,
    /// For the guest to power off.
    pub poweroff: Duration,
}

/// Whether a text is one of the names in XKB's rule files, or several with commas. It ends up on the kernel's command
/// line, where a space or a quote would start another argument.
pub fn is_xkb_name(text: &str) -> bool {
    text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ','))
}

/// XKB's names, each safe as a word of the kernel's command line; empty means XKB's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xkb {
    pub layout: String,
    pub variant: String,
    pub model: String,
    pub options: String,
}

impl fmt::Display for Xkb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layout.as_str(), self.variant.as_str()) {
            ("", _) => f.write_str("us"),
            (layout, "") => f.write_str(layout),
            (layout, variant) => write!(f, "{layout}({variant})"),
        }
    }
}

/// A control group of QEMU's own (systemd.scope(5)). If QEMU needs more than its limit, the kernel ends it, and not another
/// program of the user's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    pub manager: ServiceManager,
    /// MiB
    pub memory: u64,
}

/// The plan of a VM: everything that QEMU's command line needs, except for paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSpec {
    pub os: Os,
    pub arch: Arch,
    pub name: VmName,
    pub hostname: Choice<Hostname>,
    pub vcpus: Vcpus,
    pub memory: MemorySize,
    pub accelerator: Choice<Accelerator>,
    pub gpu: Choice<GpuMode>,
    /// The details if the GPU is a physical one.
    pub passthrough: Option<Passthrough>,
    pub window: Choice<Window>,
    /// It has no screen, so no terminal is started on one.
    pub headless: bool,
    pub start: Choice<Start>,
    /// The session that the window belongs to.
    pub session: Session,
    pub size: WindowSize,
    pub fullscreen: bool,
    pub keyboard: Choice<Xkb>,
    pub timezone: Choice<Timezone>,
    pub terminal: Choice<Terminal>,
    pub agent: Choice<AgentLink>,
    /// What of the network the guest reaches, and the rules that open more.
    pub net: Choice<Net>,
    pub allow: Vec<Rule>,
    /// What of the guest's ports appears on the host, and what is there by hand.
    pub ports: Choice<Ports>,
    pub publish: Vec<Publish>,
    /// Folders of the host.
    pub shares: Vec<SharedFolder>,
    /// Where the terminal opens, if not in the home.
    pub workdir: Option<GuestPath>,
    /// The name for git's commits.
    pub git: Option<GitIdentity>,
    pub keep: Choice<Keep>,
    /// Of the root disk, unless the image is larger.
    pub root_size: RootSize,
    /// Of the disk with /home, if there is one.
    pub home_size: HomeSize,
    pub jail: Choice<Jail>,
    pub jail_enforcement: Enforcement,
    /// Whether the launch widens a strict jail in which the host's OpenGL fails.
    pub jail_may_widen: bool,
    /// Whether system calls that the jail refuses are logged by the kernel instead.
    pub jail_log: bool,
    pub scope: Option<Scope>,
    /// The session starts without the start files of its home.
    pub safe: bool,
    pub kernel: Source,
    pub initrd: Initrd,
    pub rootfs: Source,
    pub qemu: Source,
    pub limits: TimeLimits,
}

impl VmSpec {
    pub fn keeps_home(&self) -> bool {
        self.keep.value >= Keep::Home
    }

    pub fn keeps_system(&self) -> bool {
        self.keep.value == Keep::System
    }

    /// The features in use. The launch adds the checkpoint if it resumes one.
    pub fn features(&self) -> Vec<Feature> {
        let accelerator = self.accelerator.value;
        let of = |enabled: bool, feature| enabled.then_some(feature);
        [
            of(accelerator != Accelerator::Tcg, Feature::Accelerator(accelerator)),
            // Before OpenGL: it is tried once more in a wider jail.
            of(self.jail_may_widen, Feature::StrictJail),
            of(self.gpu.value == GpuMode::Virgl, Feature::Gl),
            of(self.window.value != Window::None, Feature::Window(self.window.value)),
            of(self.agent.value == AgentLink::Vsock, Feature::Vsock),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn disk(is_kept: bool, mib: impl fmt::Display) -> String {
    format!("{}, up to {mib} MiB", if is_kept { "kept" } else { "deleted with the VM" })
}

/// Prints the plan: one choice per line, with its reason.
impl fmt::Display for VmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |what: &str, value: &dyn fmt::Display, because: &str| match because {
            "" => writeln!(f, "{what:<12} {value}"),
            _ => writeln!(f, "{what:<12} {value}  ({because})"),
        };
        row("name", &self.name, "")?;
        row("hostname", &self.hostname.value, &self.hostname.because)?;
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
            for write in passed.bind_plan.writes() {
                row("as root", &write, "")?;
            }
        }
        row("window", &self.window.value, &self.window.because)?;
        row("start", &self.start.value, &self.start.because)?;
        row("size", &self.size, if self.fullscreen { "full screen" } else { "" })?;
        row("terminal", &self.terminal.value, &self.terminal.because)?;
        row("keyboard", &self.keyboard.value, &self.keyboard.because)?;
        row("timezone", &self.timezone.value, &self.timezone.because)?;
        row("agent", &self.agent.value, &self.agent.because)?;
        row("net", &self.net.value, &self.net.because)?;
        for rule in &self.allow {
            row("allow", rule, "")?;
        }
        row("ports", &self.ports.value, &self.ports.because)?;
        for port in &self.publish {
            row("publish", port, "127.0.0.1 to the VM")?;
        }
        for share in &self.shares {
            row("share", share, "folder of this machine")?;
        }
        if let Some(workdir) = &self.workdir {
            row("workdir", workdir, "")?;
        }
        if let Some(git) = &self.git {
            row("git", git, "name for commits")?;
        }
        row("keep", &self.keep.value, &self.keep.because)?;
        row("root", &disk(self.keeps_system(), self.root_size), "")?;
        row(
            "home",
            &if self.keeps_home() { disk(true, self.home_size) } else { "part of the root".to_owned() },
            if self.safe { "its start files are not read: --safe" } else { "" },
        )?;
        row("jail", &self.jail.value, &self.jail.because)?;
        if let Some(Scope { memory, manager: _ }) = self.scope {
            row("scope", &format!("up to {memory} MiB of the host's memory"), "systemd is running")?;
        }
        row("kernel", &self.kernel, "")?;
        if self.initrd != Initrd::None {
            row("initrd", &self.initrd, "")?;
        }
        row("rootfs", &self.rootfs, "")?;
        row("qemu", &self.qemu, "")
    }
}
