//! Makes every choice of a launch from the host's facts and the configuration. The result is data: each choice with its
//! reason. Pure: no file, no process, no environment. `--dry-run`, the log and the tests read the same value.
//!
//! After a feature failed, the launch is planned again with facts in which it is unavailable ([`HostFacts::disable`]). So a
//! fallback follows from the same rules, and a forced choice that failed is an error with the reason of the failure.

mod gpu;
mod keep;
mod keyboard;
mod network;
mod timezone;
mod window;

use crate::config::{
    AccelChoice, Config, GlChoice, HostnameChoice, JailChoice, Origin, Setting, StartChoice,
};
use crate::error::{Error, Kind};
use crate::host::{Availability, HostFacts};
use crate::model::units::{Hostname, MemorySize, Seconds, VmName};
use crate::model::{
    Accelerator, AgentLink, Arch, Choice, GpuMode, GuestPath, Initrd, Jail, Keep, Os, Passthrough, Scope,
    ServiceManager, SharedFolder, Source, Start, Terminal, TimeLimits, VmSpec, Window,
};
use crate::protocol::GitIdentity;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a forced choice is not possible on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{wanted} (set by {origin}) is not available: {because}")]
    Forced { wanted: String, origin: Origin, because: String, hint: String },
    #[error("{wanted} MiB of memory (set by {origin}) are not available: this machine has {available} MiB")]
    Memory { wanted: MemorySize, available: u64, origin: Origin },
    #[error("can't share {}: {os} has no server for it yet", folder.display())]
    Share { folder: PathBuf, os: Os },
}

impl PlanError {
    /// What to type.
    pub fn hint(&self) -> &str {
        match self {
            Self::Forced { hint, .. } => hint,
            Self::Memory { .. } => "set less: --memory MIB",
            Self::Share { .. } => "copy what the VM needs, and back: virtualghost cp --help",
        }
    }
}

/// Bad input: nothing was started.
impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        let hint = error.hint().to_owned();
        Self::caused(Kind::BadInput, error.into(), hint)
    }
}

/// The VM to plan, as the host knows it.
#[derive(Debug, Clone)]
pub struct WantedVm {
    pub name: VmName,
    /// It was asked for a VM that keeps nothing.
    pub is_ephemeral: bool,
    /// If it has kept its system before.
    pub system: Option<KeptSystem>,
    /// The folders of the host that it is to have.
    pub shares: Vec<SharedFolder>,
    /// Where its terminal is to open, if not in the home.
    pub workdir: Option<GuestPath>,
    /// The name for git's commits, if it is to have one.
    pub git: Option<GitIdentity>,
}

/// The image that a VM's kept system was made from, and the file in which the system has it.
#[derive(Debug, Clone)]
pub struct KeptSystem {
    pub made_from: Source,
    pub image: PathBuf,
}

/// Plans a VM of the architecture `guest`. The same facts and the same configuration result in the same VM.
///
/// # Errors
/// A forced choice that is not available according to the facts. A choice that is "auto" never fails: its last fallback
/// always works (TCG, software rendering, no window).
pub fn plan(facts: &HostFacts, config: &Config, guest: Arch, vm: &WantedVm) -> Result<VmSpec, PlanError> {
    check_memory(facts, config)?;
    let passthrough = gpu::passthrough(facts, config)?;
    let window = window::window(facts, config, passthrough.is_some())?;
    let gpu = match &passthrough {
        Some(choice) => Choice::new(GpuMode::Passthrough(choice.value.bind_plan.gpu), choice.because.clone()),
        None => rendering(facts, config, &window)?,
    };
    let accelerator = accelerator(facts, config, guest)?;
    let terminal = terminal(config, gpu.value, accelerator.value);
    let keep = keep::keep(config, vm)?;
    let start = start(facts, config, guest, gpu.value, keep.value)?;
    let jail = jail(facts, config, gpu.value)?;
    Ok(VmSpec {
        os: facts.os,
        arch: guest,
        name: vm.name.clone(),
        hostname: hostname(config, &vm.name),
        vcpus: config.vcpus.value,
        memory: config.memory.value,
        limits: time_limits(config, accelerator.value),
        accelerator,
        // A screen that no window and no monitor shows.
        headless: window.value == Window::None && passthrough.is_none(),
        agent: agent_link(facts, start.value),
        net: network::net(facts.os, config)?,
        allow: config.allow.value.0.clone(),
        ports: network::ports(facts.os, config)?,
        publish: config.publish.value.0.clone(),
        start,
        kernel: kernel(config, passthrough.as_ref()),
        passthrough: passthrough.map(|choice| choice.value),
        window,
        session: facts.session.clone(),
        size: config.size.value,
        fullscreen: config.fullscreen.value,
        terminal,
        keyboard: keyboard::keyboard(facts, &config.keyboard),
        timezone: timezone::timezone(facts, &config.timezone),
        rootfs: keep::rootfs(config, vm, keep.value),
        keep,
        shares: vm.shares.clone(),
        workdir: vm.workdir.clone(),
        git: vm.git.clone(),
        root_size: config.root_size.value,
        home_size: config.home_size.value,
        jail_may_widen: config.jail.value == JailChoice::Auto
            && jail.value == Jail::Strict
            && gpu.value == GpuMode::Virgl,
        jail,
        jail_enforcement: facts.jail_enforcement,
        jail_log: config.jail_log.value,
        scope: facts.service_manager.map(|manager| scope(manager, config.memory.value, gpu.value)),
        gpu,
        safe: false,
        initrd: config.initrd.value.clone(),
        qemu: config.qemu.value.clone(),
    })
}

/// Whether this folder can be shared at all. To be asked before it is looked for.
///
/// # Errors
/// Only Linux has a server for it.
pub fn can_share(os: Os, folder: &Path) -> Result<(), PlanError> {
    if os == Os::Linux { Ok(()) } else { Err(PlanError::Share { folder: folder.to_owned(), os }) }
}

/// A terminal that draws with OpenGL takes seconds for each frame where an emulated processor renders it.
fn terminal(config: &Config, gpu: GpuMode, accelerator: Accelerator) -> Choice<Terminal> {
    match &config.terminal.value {
        Terminal::Auto if gpu == GpuMode::Software && accelerator == Accelerator::Tcg => {
            Choice::new(Terminal::Foot, "Ghostty is too slow in software rendering under TCG")
        }
        Terminal::Auto => Choice::new(Terminal::Auto, "the terminal of the image"),
        set => explicit(set.clone(), &config.terminal),
    }
}

fn hostname(config: &Config, name: &VmName) -> Choice<Hostname> {
    match &config.hostname.value {
        HostnameChoice::Auto => Choice::new(name.into(), "the VM's name"),
        HostnameChoice::Name(hostname) => explicit(hostname.clone(), &config.hostname),
    }
}

/// A GPU pack contains the kernel that its modules were built for.
fn kernel(config: &Config, passthrough: Option<&Choice<Passthrough>>) -> Source {
    let pack = passthrough.and_then(|choice| choice.value.pack.value.as_deref());
    match (&config.kernel.value, pack) {
        (Source::Embedded, Some(pack)) => Source::File(pack.join("vmlinux")),
        (kernel, _) => kernel.clone(),
    }
}

fn check_memory(facts: &HostFacts, config: &Config) -> Result<(), PlanError> {
    let wanted = config.memory.value;
    match facts.memory_mib {
        Some(available) if wanted.get() > available => {
            Err(PlanError::Memory { wanted, available, origin: config.memory.origin.clone() })
        }
        _ => Ok(()),
    }
}

fn accelerator(facts: &HostFacts, config: &Config, guest: Arch) -> Result<Choice<Accelerator>, PlanError> {
    let setting = &config.accel;
    let acceleration = facts.acceleration_of(guest);
    let forced = match setting.value {
        AccelChoice::Auto => {
            return Ok(match acceleration.doubt() {
                None => Choice::new(facts.accelerator, "available"),
                Some(because) => {
                    Choice::new(Accelerator::Tcg, format!("no {}: {because}", facts.accelerator))
                }
            });
        }
        AccelChoice::Tcg => return Ok(explicit(Accelerator::Tcg, setting)),
        AccelChoice::Kvm => Accelerator::Kvm,
        AccelChoice::Hvf => Accelerator::Hvf,
        AccelChoice::Whpx => Accelerator::Whpx,
    };
    let hint = "use --accel auto, or --accel tcg, which works everywhere";
    if forced != facts.accelerator {
        let because = format!("the accelerator of {} is {}", facts.os, facts.accelerator);
        return Err(refused(forced, setting, &because, hint));
    }
    match acceleration.obstacle() {
        None => Ok(explicit(forced, setting)),
        Some(because) => Err(refused(forced, setting, because, acceleration.fix().unwrap_or(hint))),
    }
}

/// The time for powering off is not longer under TCG: a user waits for it.
fn time_limits(config: &Config, accelerator: Accelerator) -> TimeLimits {
    let factor = if accelerator == Accelerator::Tcg { config.tcg_timeout_factor.value.get() } else { 1 };
    let booting = |limit: &Setting<Seconds>| Duration::from_secs(limit.value.get() * factor);
    TimeLimits {
        boot: booting(&config.boot_timeout),
        ready: booting(&config.ready_timeout),
        poweroff: Duration::from_secs(config.poweroff_timeout.value.get()),
    }
}

/// A checkpoint has to fit every VM, and contains the state of memory, disks and emulated devices only.
fn start(
    facts: &HostFacts,
    config: &Config,
    guest: Arch,
    gpu: GpuMode,
    keep: Keep,
) -> Result<Choice<Start>, PlanError> {
    let setting = &config.start;
    let own = [&config.kernel, &config.rootfs, &config.qemu]
        .into_iter()
        .find(|part| part.value != Source::Embedded)
        .map(|part| (part.value.to_string(), &part.origin))
        .or_else(|| {
            let initrd = &config.initrd;
            (initrd.value != Initrd::None).then(|| (initrd.value.to_string(), &initrd.origin))
        });
    let obstacle = match (gpu, own) {
        (GpuMode::Passthrough(_), _) => {
            Some("a checkpoint can't contain the state of a physical GPU".to_owned())
        }
        (GpuMode::Virgl, _) => Some("a checkpoint can't contain the state of the host's OpenGL".to_owned()),
        (GpuMode::Software, _) if keep == Keep::System => {
            Some("a checkpoint can't contain the system that this VM keeps".to_owned())
        }
        (GpuMode::Software, Some((part, origin))) => {
            Some(format!("a checkpoint needs the embedded files, not {part}, set by {origin}"))
        }
        (GpuMode::Software, None) if guest == Arch::Aarch64 => Some(
            "QEMU has no vmgenid on aarch64, which gives each resumed VM its own random numbers".to_owned(),
        ),
        (GpuMode::Software, None) => facts.checkpoint.doubt().map(str::to_owned),
    };
    match (setting.value, obstacle) {
        (StartChoice::Boot, _) => Ok(explicit(Start::Boot, setting)),
        (StartChoice::Instant, None) => Ok(explicit(Start::Instant, setting)),
        (StartChoice::Instant, Some(because)) => {
            Err(refused("instant start", setting, &because, "use --start auto, or --start boot"))
        }
        (StartChoice::Auto, None) => Ok(Choice::new(Start::Instant, "the guest renders in software")),
        (StartChoice::Auto, Some(because)) => Ok(Choice::new(Start::Boot, because)),
    }
}

/// The address of a VM on vsock is the state of a device, so it would be the same for every VM of a checkpoint.
fn agent_link(facts: &HostFacts, start: Start) -> Choice<AgentLink> {
    let instead = if facts.os == Os::Windows { AgentLink::Loopback } else { AgentLink::Socket };
    match facts.vsock.doubt() {
        _ if start == Start::Instant => {
            Choice::new(instead, "the address of a VM on vsock would be in the checkpoint")
        }
        None => Choice::new(AgentLink::Vsock, "not reachable over any network"),
        Some(because) => Choice::new(instead, because),
    }
}

/// QEMU's memory is the guest's and a few hundred MiB of its own. With virgl, the textures of the guest may be memory of the
/// host too, as much as the guest asks for.
fn scope(manager: ServiceManager, guest: MemorySize, gpu: GpuMode) -> Scope {
    const OWN_MIB: u64 = 1024;
    const TEXTURES_MIB: u64 = 4096;
    let textures = if gpu == GpuMode::Virgl { TEXTURES_MIB } else { 0 };
    Scope { manager, memory: (guest.bytes() >> 20) + OWN_MIB + textures }
}

/// Only OpenGL's drivers are known to need more than the strict jail has.
fn jail(facts: &HostFacts, config: &Config, gpu: GpuMode) -> Result<Choice<Jail>, PlanError> {
    let setting = &config.jail;
    let forced = match setting.value {
        JailChoice::Auto => {
            return Ok(match (facts.jail.doubt(), facts.gl_in_strict_jail.doubt()) {
                (Some(because), _) => Choice::new(Jail::Off, because),
                (None, Some(because)) if gpu == GpuMode::Virgl => {
                    Choice::new(Jail::GpuWide, format!("OpenGL failed in the strict jail: {because}"))
                }
                (None, _) => Choice::new(Jail::Strict, facts.jail_enforcement.to_string()),
            });
        }
        JailChoice::Off => return Ok(explicit(Jail::Off, setting)),
        JailChoice::Strict => Jail::Strict,
        JailChoice::GpuWide => Jail::GpuWide,
    };
    match facts.jail.obstacle() {
        None => Ok(explicit(forced, setting)),
        Some(because) => {
            let hint = facts.jail.fix().unwrap_or("use --jail auto, or --jail off");
            Err(refused(format!("jail {forced}"), setting, because, hint))
        }
    }
}

/// virgl renders with the OpenGL of the window.
fn rendering(
    facts: &HostFacts,
    config: &Config,
    window: &Choice<Window>,
) -> Result<Choice<GpuMode>, PlanError> {
    let setting = &config.gl;
    if setting.value == GlChoice::Auto && config.start.value == StartChoice::Instant {
        return Ok(Choice::new(
            GpuMode::Software,
            format!("required by instant start, set by {}", config.start.origin),
        ));
    }
    let obstacle = match (&facts.gl, window.value) {
        (_, Window::None) => Some("OpenGL needs a window"),
        // A forced feature is tried again.
        (Availability::Doubtful { .. }, _) if setting.value == GlChoice::On => None,
        (gl, _) => gl.doubt(),
    };
    match (setting.value, obstacle) {
        (GlChoice::Off, _) => Ok(explicit(GpuMode::Software, setting)),
        (GlChoice::On, None) => Ok(explicit(GpuMode::Virgl, setting)),
        (GlChoice::On, Some(because)) => {
            let hint = "use --gl auto, or --gl off for software rendering in the guest";
            Err(refused("OpenGL of the host", setting, because, hint))
        }
        (GlChoice::Auto, None) => Ok(Choice::new(GpuMode::Virgl, "the window has OpenGL")),
        (GlChoice::Auto, Some(because)) => Ok(Choice::new(GpuMode::Software, because)),
    }
}

/// A choice of the user.
fn explicit<T, S>(value: T, setting: &Setting<S>) -> Choice<T> {
    Choice::explicit(value, &format_args!("set by {}", setting.origin))
}

fn refused<T>(wanted: impl fmt::Display, setting: &Setting<T>, because: &str, hint: &str) -> PlanError {
    PlanError::Forced {
        wanted: wanted.to_string(),
        origin: setting.origin.clone(),
        because: because.to_owned(),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
pub mod tests;

#[cfg(all(test, unix))]
mod texts;
