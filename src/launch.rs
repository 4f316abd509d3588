//! A launch, from a plan to the end of its VM: takes the name, installs the parts, supervises QEMU, and
//! goes down a rung when one turns out not to bear.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::folders::{self, Folders};
use crate::host::{Accelerator, HostFacts, Os, Rung};
use crate::instance::Instance;
use crate::parts::Parts;
use crate::plan::{self, VmSpec, Window};
use crate::qemu::{self, Channel, Channels, Paths};
use crate::supervise::{self, End, Failure, Launch, Limits, Signals, Status, Tails};
use anyhow::Context;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

/// # Errors
/// The name is taken, the parts can't be unpacked, a forced choice failed, or the VM died.
pub fn launch(
    mut facts: HostFacts,
    config: &Config,
    mut spec: VmSpec,
    parts: &Parts,
    folders: &Folders,
) -> Result<ExitCode> {
    let instance = Instance::take(&spec.name, &folders.vm_path(spec.name.as_str()))?;
    let _in_use = parts.install(&spec, folders)?;
    folders::create_private(&folders.overlay_path())?;
    folders::remove_stale_overlays(&folders.overlay_path());
    let paths = parts.paths(folders);
    // From here on a request to stop goes to the guest; until here it just ends the program.
    let signals = Signals::install().context("can't take over Ctrl-C")?;
    let mut status = supervise::for_stderr();
    announce(&spec, parts, &mut *status);
    loop {
        match supervise::run(&qemu_launch(&spec, &paths, &instance), &mut *status, &signals)? {
            End::PoweredOff { .. } | End::Stopped { .. } => return Ok(ExitCode::SUCCESS),
            End::Died { reason, tails } => return Err(died(&reason, &tails, &instance)),
            End::RungFailed { failure, because, .. } => {
                let rung = rung(failure, &spec);
                facts = facts.without(rung, &because);
                let lower = plan::plan(&facts, config, &spec.name)?;
                status.say(&format!("{rung} does not work here: {because}; {}", instead(&spec, &lower)));
                spec = lower;
            }
        }
    }
}

/// What a user would otherwise wonder about.
fn announce(spec: &VmSpec, parts: &Parts, status: &mut dyn Status) {
    if spec.window.value == Window::None {
        status.say(&format!("no window: {}", spec.window.because));
    }
    if spec.accelerator.value == Accelerator::Tcg {
        status.say(&format!("using TCG, which is slow: {}", spec.accelerator.because));
    }
    if let Some(terminal) = parts.other_terminal() {
        status.say(&format!("this image has {terminal} for a terminal, not Ghostty"));
    }
}

fn rung(failure: Failure, spec: &VmSpec) -> Rung {
    match failure {
        Failure::Accelerator => Rung::Accelerator(spec.accelerator.value),
        Failure::Gl => Rung::Gl,
        Failure::Window => Rung::Window,
    }
}

fn instead(before: &VmSpec, now: &VmSpec) -> String {
    if before.accelerator.value != now.accelerator.value {
        format!("using {}", now.accelerator.value)
    } else if before.window.value != now.window.value {
        format!("the window is {}", now.window.value)
    } else {
        format!("the rendering is {}", now.gpu.value)
    }
}

fn qemu_launch(spec: &VmSpec, paths: &Paths, instance: &Instance) -> Launch {
    let channels = channels(spec);
    Launch {
        program: paths.qemu.path.clone(),
        args: qemu::argv(spec, paths, &channels),
        environment: qemu::environment(spec, paths, std::env::vars_os()),
        channels,
        console_log: instance.console_log_path(),
        qemu_log: instance.qemu_log_path(),
        accelerated: spec.accelerator.value != Accelerator::Tcg,
        limits: Limits { poweroff: Duration::from_secs(spec.poweroff_timeout.get()), ..Limits::default() },
    }
}

/// Where the guest's console and control port meet the launcher.
fn channels(spec: &VmSpec) -> Channels {
    match spec.os {
        Os::Linux | Os::MacOs => {
            Channels { console: Channel::Descriptor(3), control: Channel::Descriptor(4) }
        }
        Os::Windows => {
            let pipe = |what| Channel::Pipe(format!("virtualghost-{}-{what}", std::process::id()));
            Channels { console: pipe("console"), control: pipe("control") }
        }
    }
}

fn died(reason: &str, tails: &Tails, instance: &Instance) -> Error {
    let mut text = reason.to_owned();
    for (whose, lines) in [("the guest's console", &tails.console), ("QEMU", &tails.qemu)] {
        if !lines.is_empty() {
            let _ = write!(text, "\nlast lines of {whose}:\n  {}", lines.join("\n  "));
        }
    }
    let (console, qemu) = (instance.console_log_path(), instance.qemu_log_path());
    Error::new(Kind::VmDied, text).hint(format!("all of it: {} and {}", console.display(), qemu.display()))
}

/// QEMU's command line as a shell would take it.
pub fn command_line(spec: &VmSpec, paths: &Paths) -> String {
    let argv = qemu::argv(spec, paths, &channels(spec));
    let words = std::iter::once(paths.qemu.path.as_os_str()).chain(argv.iter().map(|word| word.as_os_str()));
    let quoted = words.map(|word| {
        let quoted = shlex::bytes::try_quote(word.as_encoded_bytes()).expect("no argument holds a NUL");
        String::from_utf8_lossy(&quoted).into_owned()
    });
    quoted.collect::<Vec<_>>().join(" ")
}
