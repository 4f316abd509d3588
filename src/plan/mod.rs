//! Every choice of a launch, made at once from what the host is and what the user wants: data with its
//! reason. Pure: no file, no process, no environment. `--dry-run`, the log and the tests read the same value.
//!
//! A failed start comes back as [`HostFacts::without`] and is planned anew; so the rung below is found by
//! the same rules, and a choice that the user forced is refused with the reason that was just learnt.

mod gpu;
mod keyboard;
mod spec;

pub use gpu::{Backend, MAKE_PACK, Passthrough};
pub use spec::{AgentLink, Choice, GpuMode, Home, Patience, Start, VmSpec, Xkb};

use crate::arch::Arch;
use crate::config::{AccelChoice, Config, DisplayChoice, GlChoice, Origin, Setting, Source, StartChoice};
pub use crate::host::Window;
use crate::host::{Accelerator, Availability, HostFacts, Session};
use crate::units::{MiB, Seconds, VmName};
use std::fmt;
use std::time::Duration;

/// What the user forced and this host can't do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{wanted} was asked for ({origin}) and can't be had: {because}")]
    Forced { wanted: String, origin: Origin, because: String, hint: String },
    #[error("the VM's memory of {wanted} MiB ({origin}) is more than this machine's {available} MiB")]
    Memory { wanted: MiB, available: u64, origin: Origin },
}

impl PlanError {
    /// What to type instead.
    pub fn hint(&self) -> &str {
        match self {
            Self::Forced { hint, .. } => hint,
            Self::Memory { .. } => "ask for less with --memory",
        }
    }
}

/// Decides on a VM of the architecture `guest`. The same facts and the same configuration give the same VM.
///
/// # Errors
/// Something forced that the facts rule out. What is left to choose ("auto") never fails: it has a rung
/// that always works (TCG, software rendering, no window).
pub fn plan(
    facts: &HostFacts,
    config: &Config,
    guest: Arch,
    name: &VmName,
    home: Home,
) -> Result<VmSpec, PlanError> {
    check_memory(facts, config)?;
    let passthrough = gpu::passthrough(facts, config)?;
    let window = window(facts, config, passthrough.is_some())?;
    let gpu = match &passthrough {
        Some(choice) => Choice::new(GpuMode::Passthrough(choice.value.handover.gpu), choice.because.clone()),
        None => rendering(facts, config, &window)?,
    };
    let accelerator = accelerator(facts, config, guest)?;
    let start = start(facts, config, guest, gpu.value)?;
    Ok(VmSpec {
        os: facts.os,
        arch: guest,
        name: name.clone(),
        vcpus: config.vcpus.value,
        memory: config.memory.value,
        patience: patience(config, accelerator.value),
        accelerator,
        // Nobody looks at a screen that no window shows.
        headless: window.value == Window::None && passthrough.is_none(),
        agent: agent_link(facts, start.value),
        gpu,
        start,
        kernel: kernel(config, passthrough.as_ref()),
        passthrough: passthrough.map(|choice| choice.value),
        window,
        session: facts.session.clone(),
        size: config.size.value,
        fullscreen: config.fullscreen.value,
        keyboard: keyboard::keyboard(facts, &config.keyboard),
        home,
        rootfs: config.rootfs.value.clone(),
        qemu: config.qemu.value.clone(),
    })
}

/// A GPU pack brings the kernel that its modules are of.
fn kernel(config: &Config, passthrough: Option<&Choice<Passthrough>>) -> Source {
    let pack = passthrough.and_then(|choice| choice.value.pack.value.as_deref());
    match (&config.kernel.value, pack) {
        (Source::Embedded, Some(pack)) => Source::File(pack.join("vmlinux")),
        (kernel, _) => kernel.clone(),
    }
}

fn check_memory(facts: &HostFacts, config: &Config) -> Result<(), PlanError> {
    let (wanted, available) = (config.memory.value, facts.memory_mib);
    if available != 0 && wanted.get() > available {
        return Err(PlanError::Memory { wanted, available, origin: config.memory.origin.clone() });
    }
    Ok(())
}

fn accelerator(facts: &HostFacts, config: &Config, guest: Arch) -> Result<Choice<Accelerator>, PlanError> {
    let setting = &config.accel;
    let acceleration = facts.acceleration_of(guest);
    let forced = match setting.value {
        AccelChoice::Auto => {
            return Ok(match acceleration.doubt() {
                None => Choice::new(facts.accelerator, "it is there"),
                Some(because) => {
                    Choice::new(Accelerator::Tcg, format!("no {}: {because}", facts.accelerator))
                }
            });
        }
        AccelChoice::Tcg => return Ok(Choice::said(Accelerator::Tcg, setting)),
        AccelChoice::Kvm => Accelerator::Kvm,
        AccelChoice::Hvf => Accelerator::Hvf,
        AccelChoice::Whpx => Accelerator::Whpx,
    };
    let hint = "drop it to let VirtualGhost choose, or take --accel tcg, which needs nothing";
    if forced != facts.accelerator {
        let because = format!("on {} it is {}", facts.os, facts.accelerator);
        return Err(refused(forced, setting, &because, hint));
    }
    match acceleration.obstacle() {
        None => Ok(Choice::said(forced, setting)),
        Some(because) => Err(refused(forced, setting, because, acceleration.fix().unwrap_or(hint))),
    }
}

fn window(facts: &HostFacts, config: &Config, passthrough: bool) -> Result<Choice<Window>, PlanError> {
    let setting = &config.display;
    let forced = match setting.value {
        DisplayChoice::None => return Ok(Choice::said(Window::None, setting)),
        DisplayChoice::Auto if passthrough => {
            return Ok(Choice::new(Window::None, "the passed GPU's own monitor shows the terminal"));
        }
        DisplayChoice::Auto => return Ok(best_window(facts)),
        DisplayChoice::Gtk => Window::Gtk,
        DisplayChoice::Sdl => Window::Sdl,
        DisplayChoice::Cocoa => Window::Cocoa,
    };
    let hint = "drop it to let VirtualGhost choose, or take --display none";
    let Some((_, availability)) = facts.windows.iter().find(|(window, _)| *window == forced) else {
        let there: Vec<_> = facts.windows.iter().map(|(window, _)| window.to_string()).collect();
        let because = format!("on {} the window is {}", facts.os, there.join(" or "));
        return Err(refused(forced, setting, &because, hint));
    };
    match (&facts.session, availability.obstacle()) {
        (Session::None { because }, _) => Err(refused(forced, setting, because, hint)),
        (_, Some(because)) => Err(refused(forced, setting, because, hint)),
        _ => Ok(Choice::said(forced, setting)),
    }
}

/// The first that works, or none and the reasons of all.
fn best_window(facts: &HostFacts) -> Choice<Window> {
    if let Session::None { because } = &facts.session {
        return Choice::new(Window::None, because.clone());
    }
    let mut doubts = Vec::new();
    for (window, availability) in &facts.windows {
        match availability.doubt() {
            None if doubts.is_empty() => {
                return Choice::new(*window, format!("the window of {}", facts.session));
            }
            None => return Choice::new(*window, doubts.join("; ")),
            Some(because) => doubts.push(format!("no {window}: {because}")),
        }
    }
    Choice::new(Window::None, doubts.join("; "))
}

/// The guest's power-off is waited for as long as the user says, and no longer: somebody wants it to end.
fn patience(config: &Config, accelerator: Accelerator) -> Patience {
    let factor = if accelerator == Accelerator::Tcg { config.tcg_patience.value.get() } else { 1 };
    let booting = |limit: &Setting<Seconds>| Duration::from_secs(limit.value.get() * factor);
    Patience {
        life: booting(&config.life_timeout),
        ready: booting(&config.ready_timeout),
        poweroff: Duration::from_secs(config.poweroff_timeout.value.get()),
    }
}

/// What is saved has to be the same for every VM, and only memory, disk and plain devices can be.
fn start(facts: &HostFacts, config: &Config, guest: Arch, gpu: GpuMode) -> Result<Choice<Start>, PlanError> {
    let setting = &config.start;
    let own = [&config.kernel, &config.rootfs, &config.qemu]
        .into_iter()
        .find(|part| part.value != Source::Embedded);
    let obstacle = match (gpu, own) {
        (GpuMode::Passthrough(_), _) => Some("the state of a physical GPU can't be saved".to_owned()),
        (GpuMode::Virgl, _) => Some("what the host's OpenGL holds can't be saved".to_owned()),
        (GpuMode::Software, Some(part)) => {
            Some(format!("{} is not the embedded one ({})", part.value, part.origin))
        }
        (GpuMode::Software, None) if guest == Arch::Aarch64 => Some(
            "on aarch64 QEMU has no vmgenid, by which each start gets random numbers of its own".to_owned(),
        ),
        (GpuMode::Software, None) => facts.checkpoint.doubt().map(str::to_owned),
    };
    match (setting.value, obstacle) {
        (StartChoice::Boot, _) => Ok(Choice::said(Start::Boot, setting)),
        (StartChoice::Instant, None) => Ok(Choice::said(Start::Instant, setting)),
        (StartChoice::Instant, Some(because)) => {
            Err(refused("an instant start", setting, &because, "drop it, or take --start boot"))
        }
        (StartChoice::Auto, None) => Ok(Choice::new(Start::Instant, "the guest renders in software")),
        (StartChoice::Auto, Some(because)) => Ok(Choice::new(Start::Boot, because)),
    }
}

/// The address of vsock is a device's, and so part of what is saved.
fn agent_link(facts: &HostFacts, start: Start) -> Choice<AgentLink> {
    match facts.vsock.doubt() {
        _ if start == Start::Instant => {
            Choice::new(AgentLink::Loopback, "every start from a checkpoint is reached alike")
        }
        None => Choice::new(AgentLink::Vsock, "nothing but this VM can use it"),
        Some(because) => Choice::new(AgentLink::Loopback, because),
    }
}

/// virgl needs a window whose OpenGL it borrows.
fn rendering(
    facts: &HostFacts,
    config: &Config,
    window: &Choice<Window>,
) -> Result<Choice<GpuMode>, PlanError> {
    let setting = &config.gl;
    if setting.value == GlChoice::Auto && config.start.value == StartChoice::Instant {
        return Ok(Choice::new(
            GpuMode::Software,
            format!("an instant start has no other ({})", config.start.origin),
        ));
    }
    let obstacle = match (&facts.gl, window.value) {
        (_, Window::None) => Some("there is no window whose OpenGL the guest could use"),
        // What is forced is tried again.
        (Availability::Doubtful { .. }, _) if setting.value == GlChoice::On => None,
        (gl, _) => gl.doubt(),
    };
    match (setting.value, obstacle) {
        (GlChoice::Off, _) => Ok(Choice::said(GpuMode::Software, setting)),
        (GlChoice::On, None) => Ok(Choice::said(GpuMode::Virgl, setting)),
        (GlChoice::On, Some(because)) => Err(refused(
            "OpenGL of the host",
            setting,
            because,
            "drop it, or take --gl off: the guest then renders in software",
        )),
        (GlChoice::Auto, None) => Ok(Choice::new(GpuMode::Virgl, "the window has OpenGL")),
        (GlChoice::Auto, Some(because)) => Ok(Choice::new(GpuMode::Software, because)),
    }
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
