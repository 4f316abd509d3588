//! A launch, from a plan to the end of its VM: takes the name, installs the parts, supervises QEMU, and
//! goes down a rung when one turns out not to bear.

mod shown;
mod told;
mod way;

pub use shown::command_line;
pub use way::Way;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Source};
use crate::error::{Error, Kind, Result};
use crate::folders::{self, Folders};
use crate::host::{Accelerator, HostFacts, Os, Rung};
use crate::instance::{self, Files, Home as HomeDisk, Instance, Overlays, State};
use crate::learnt::Learnt;
use crate::parts::Parts;
use crate::plan::{self, AgentLink, GpuMode, Home, Patience, VmSpec, Window};
use crate::qemu::{self, Agent, Channel, Channels, Paths, RootDisk};
use crate::remote;
use crate::supervise::{self, End, Failure, Launch, Limits, Rungs, Signals, Status, Tails};
use crate::vfio;
use anyhow::Context;
use std::fmt::Write;
use std::process::{Command, ExitCode};
use std::time::Instant;
use told::Told;
use way::entry;

/// What is launched, and what is known before.
pub struct Request<'a> {
    pub facts: HostFacts,
    pub config: &'a Config,
    /// The plan made of the two.
    pub spec: VmSpec,
    pub parts: &'a Parts,
    pub folders: &'a Folders,
    pub learnt: Learnt,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session, in a window or for those who come.
    Session,
    /// A session that is to open in this terminal.
    ShellHere,
    /// The VM's checkpoint alone.
    Checkpoint,
}

impl Purpose {
    /// What is decided for a session, as this purpose needs it.
    fn suit(self, mut spec: VmSpec) -> VmSpec {
        if self == Self::Checkpoint {
            // The guest has a screen, and its terminal on it, all the same.
            spec.window.value = Window::None;
            spec.window.because = "nobody looks at a VM that is only saved".to_owned();
        }
        spec
    }
}

/// # Errors
/// The name is taken, the parts can't be unpacked, a forced choice failed, or the VM died.
pub fn launch(request: Request<'_>) -> Result<ExitCode> {
    let Request { mut facts, config, mut spec, parts, folders, learnt, purpose } = request;
    spec = purpose.suit(spec);
    let launched = Instant::now();
    let instance = Instance::take(&spec.name, &folders.vms_path())?;
    let state = State::new(&spec, told::address(&spec));
    instance.tell(&state);
    let shell = write_ssh_config(&spec, instance.files(), folders)?;
    if let (Home::Kept(size), false) = (spec.home, purpose == Purpose::Checkpoint) {
        HomeDisk::at(folders.home_path(&spec.name)).prepare(size)?;
    }
    let _in_use = parts.install(&spec, folders)?;
    let _overlays = Overlays::make(&folders.overlay_path())?;
    let mut paths = parts.paths(&spec, folders).named(folders::os::narrow)?;
    // From here on a request to stop goes to the guest; until here it just ends the program.
    let signals = Signals::install().context("can't take over Ctrl-C")?;
    let stop = signals.clone();
    instance::allow_stop_requests(move || stop.raise());
    let mut status = Told {
        shown: supervise::for_stderr(),
        instance: &instance,
        launched,
        state,
        shell: (purpose == Purpose::ShellHere).then_some(shell),
        signals: signals.clone(),
        learnt,
        fallen: Vec::new(),
        window: spec.window.value,
        way: Way::Boot,
    };
    let _held = hold_gpu(&spec)?;
    if spec.passthrough.is_some() {
        // What the bound functions offer is only known now.
        facts.pci = vfio::os::probe();
        spec = plan::plan(&facts, config, spec.arch, &spec.name, spec.home)?;
    }
    announce(&spec, parts, &mut status);
    loop {
        let way = Way::new(parts.checkpoint(&spec, folders, &facts.machine), folders);
        way.begin(&paths.rootfs)?;
        paths.root = way.root_disk();
        let mut launch = qemu_launch(&spec, &paths, &instance);
        if let Some(start) = way.start() {
            let entry = (purpose != Purpose::Checkpoint).then(|| entry(&spec, &paths)).transpose()?;
            launch.checkpoint = Some(supervise::Checkpoint { start, entry });
        }
        status.starts(&spec, way);
        let end = supervise::run(&launch, &mut status, &signals)?;
        let saved = status.way.finish();
        match end {
            End::Saved => {
                saved?;
                status
                    .way
                    .checkpoint()
                    .into_iter()
                    .for_each(|checkpoint| status.shown.say(&checkpoint.to_string()));
                return Ok(ExitCode::SUCCESS);
            }
            End::PoweredOff { .. } | End::Stopped { .. } => {
                if let Err(e) = saved {
                    tracing::warn!("the next start is not instant: {e}");
                }
                return Ok(ExitCode::SUCCESS);
            }
            End::Died { reason, tails } => return Err(died(&reason, &tails, instance.files())),
            End::RungFailed { failure, because, .. } => {
                let rung = rung(failure, &spec);
                if failure == Failure::Checkpoint {
                    status.way.checkpoint().into_iter().for_each(Checkpoint::discard);
                }
                facts = facts.without(rung, &because);
                status.fallen.push((rung, because.clone()));
                let lower = purpose.suit(plan::plan(&facts, config, spec.arch, &spec.name, spec.home)?);
                status.say(&format!("{rung} does not work here: {because}; {}", instead(rung, &lower)));
                spec = lower;
            }
        }
    }
}

/// Binds the physical GPU, if one is passed that is not bound yet; it is given back when the result is dropped.
fn hold_gpu(spec: &VmSpec) -> Result<Option<vfio::os::Held>> {
    let Some(passed) = &spec.passthrough else { return Ok(None) };
    vfio::os::allow_locking(passed.locked);
    let is_bound = passed.handover.devices.is_empty();
    (!is_bound).then(|| vfio::os::hold(&passed.handover)).transpose()
}

/// Lets OpenSSH reach this VM, and all; gives the command that opens a shell in this one.
fn write_ssh_config(spec: &VmSpec, files: &Files, folders: &Folders) -> Result<Command> {
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let own = files.ssh_config_path();
    if let Some(path) = [&own, &executable].into_iter().find(|path| !remote::config::can_name(path)) {
        let path = path.display();
        return Err(Error::bad_input(format!("OpenSSH takes no path with a line break, such as {path}"))
            .hint("let XDG_STATE_HOME name a folder without one, or move the executable"));
    }
    for (path, text) in [
        (&own, remote::config::of_vm(&spec.name, files, &executable)),
        (&folders.ssh_config_path(), remote::config::of_all(&folders.vms_path())),
    ] {
        folders::replace(path, &text, &own.with_extension("new"))?;
    }
    Ok(remote::ssh(&own, &spec.name, false, true, &[]))
}

/// What a user would otherwise wonder about.
fn announce(spec: &VmSpec, parts: &Parts, status: &mut dyn Status) {
    if spec.window.value == Window::None {
        status.say(&format!("no window: {}", spec.window.because));
    }
    if spec.accelerator.value == Accelerator::Tcg {
        status.say(&format!("using TCG, which is slow: {}", spec.accelerator.because));
    }
    if let Some(passed) = spec.passthrough.as_ref().filter(|passed| passed.pack.value.is_none()) {
        let because = &passed.pack.because;
        status.say(&format!("the VM has no drivers of physical GPUs: {because}; {}", plan::MAKE_PACK));
    }
    if let Some(terminal) = parts.other_terminal() {
        status.say(&format!("this image has {terminal} for a terminal, not Ghostty"));
    }
}

fn rung(failure: Failure, spec: &VmSpec) -> Rung {
    match failure {
        Failure::Accelerator => Rung::Accelerator(spec.accelerator.value),
        Failure::Gl => Rung::Gl,
        Failure::Window => Rung::Window(spec.window.value),
        Failure::Vsock => Rung::Vsock,
        Failure::Checkpoint => Rung::Checkpoint,
    }
}

/// What the plan without the rung has in its place. More may differ: without OpenGL a start can be instant, say.
fn instead(rung: Rung, lower: &VmSpec) -> String {
    match rung {
        Rung::Accelerator(_) => format!("using {}", lower.accelerator.value),
        Rung::Gl => format!("the rendering is {}", lower.gpu.value),
        Rung::Window(_) => format!("the window is {}", lower.window.value),
        Rung::Vsock => format!("the agent is reached by {}", lower.agent.value),
        Rung::Checkpoint => "the VM boots".to_owned(),
    }
}

fn qemu_launch(spec: &VmSpec, paths: &Paths, instance: &Instance) -> Launch {
    let (channels, files) = (channels(spec), instance.files());
    let Patience { life, ready, poweroff } = spec.patience;
    Launch {
        program: paths.qemu.path.clone(),
        args: qemu::argv(spec, paths, &channels),
        environment: qemu::environment(spec, paths, std::env::vars_os()),
        lock: instance.lock(),
        channels,
        console_log: Some(files.console_log_path()),
        qemu_log: Some(files.qemu_log_path()),
        rungs: Rungs {
            accelerator: spec.accelerator.value != Accelerator::Tcg,
            gl: spec.gpu.value == GpuMode::Virgl,
            window: spec.window.value != Window::None,
            checkpoint: matches!(paths.root, RootDisk::Saved(_)),
        },
        checkpoint: None,
        // An image of the user's own may know nothing of us.
        tells_session: spec.rootfs == Source::Embedded,
        limits: Limits { life, ready, poweroff, ..Limits::default() },
    }
}

/// Where the guest's console and control port meet the launcher.
pub fn channels(spec: &VmSpec) -> Channels {
    match spec.os {
        Os::Linux | Os::MacOs => {
            Channels { console: Channel::Descriptor(3), control: Channel::Descriptor(4), agent: agent(spec) }
        }
        Os::Windows => {
            let pipe = |what| Channel::Pipe(format!("virtualghost-{}-{what}", std::process::id()));
            Channels { console: pipe("console"), control: pipe("control"), agent: agent(spec) }
        }
    }
}

/// A context id that no other VM of this machine has: 3 and up are for guests (vsock(7)), and no two live launchers
/// have the same process id.
fn agent(spec: &VmSpec) -> Agent {
    const FIRST_CID: u32 = 1 << 16;
    match spec.agent.value {
        AgentLink::Vsock => Agent::Vsock { cid: FIRST_CID + std::process::id() },
        AgentLink::Loopback => Agent::Loopback,
    }
}

fn died(reason: &str, tails: &Tails, files: &Files) -> Error {
    let mut text = reason.to_owned();
    for (whose, lines) in [("the guest's console", &tails.console), ("QEMU", &tails.qemu)] {
        if !lines.is_empty() {
            let _ = write!(text, "\nlast lines of {whose}:\n  {}", lines.join("\n  "));
        }
    }
    let (console, qemu) = (files.console_log_path(), files.qemu_log_path());
    Error::new(Kind::VmDied, text).hint(format!("all of it: {} and {}", console.display(), qemu.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Start;
    use crate::plan::tests::{host, spec};

    #[test]
    fn what_takes_a_failed_rungs_place_is_named_whatever_else_changes_with_it() {
        let facts = host(Os::Linux);
        let before = spec(&facts, "").unwrap();
        let lower = spec(&facts.without(Rung::Gl, "it fails"), "").unwrap();
        assert_eq!((before.start.value, lower.start.value), (Start::Boot, Start::Instant));
        assert_eq!(instead(Rung::Gl, &lower), "the rendering is software");
    }
}
