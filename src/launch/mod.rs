//! A launch, from a plan to the end of its VM: prepare → run → fall back when a feature fails.
//!
//! ```text
//! LaunchPlan ─► Session::prepare ─► run_once ─┬─► finish ─► exit status
//!  (planner)    (name, artifacts,     ▲       │
//!                overlay, GPU)        └─ fall_back, if a feature failed
//! ```

mod age;
mod announce;
mod attached;
mod copies;
mod detach;
mod endings;
mod fallback;
mod known_failures;
mod monthly;
mod planner;
mod reporter;
mod resume_attempts;
mod session;
mod shell_command;

pub use detach::detach;
pub use known_failures::{KnownFailure, KnownFailures};
pub use planner::{LaunchPlan, Planner, Purpose, Request};
pub use shell_command::command_line;

use crate::error::{Error, Result};
use crate::instance::{Instance, VmFiles};
use crate::jail;
use crate::model::{Feature, GuestPath, Source, Start, TimeLimits, VmSpec};
use crate::qemu::{self, Paths, RootDisk};
use crate::remote::{self, exec::Program};
use crate::supervise::{End, Launch, Limits};
use crate::sys::{Dirs, files, process};
use anyhow::Context;
use reporter::Reporter;
use session::Session;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode};

/// Runs the VM to its end.
///
/// # Errors
/// The name is in use, the artifacts can't be unpacked, a forced choice failed, or the VM died.
pub fn launch(plan: &mut LaunchPlan) -> Result<ExitCode> {
    run(plan, reporter::for_stderr(), None)
}

/// Runs the VM for one program, whose exit status is the result.
///
/// # Errors
/// As for [`launch`].
pub fn launch_for(program: Program, plan: &mut LaunchPlan) -> Result<ExitCode> {
    run(plan, reporter::for_a_program(), Some(program))
}

fn run(plan: &mut LaunchPlan, reporter: Box<dyn Reporter>, program: Option<Program>) -> Result<ExitCode> {
    let mut session = Session::prepare(plan, reporter, program)?;
    loop {
        match session.run_once()? {
            End::FeatureFailed { feature, because } => session.fall_back(feature, &because)?,
            end => return session.finish(end),
        }
    }
}

/// Writes OpenSSH's configuration of this VM, and the one that includes all VMs. Returns the command that opens a shell in
/// this one.
fn write_ssh_config(spec: &VmSpec, files: &VmFiles, dirs: &Dirs) -> Result<Command> {
    let executable = process::this_program()?;
    let own = files.ssh_config_path();
    if let Some(path) = [&own, &executable].into_iter().find(|path| !remote::config::can_name(path)) {
        let path = path.display();
        return Err(Error::bad_input(format!(
            "OpenSSH does not support paths with a line break, such as {path}"
        ))
        .hint("set XDG_STATE_HOME to another folder, or move the executable"));
    }
    for (path, text) in [
        (&own, remote::config::of_vm(&spec.name, &dirs.vms_path(), &executable)),
        (&dirs.ssh_config_path(), remote::config::of_all(&dirs.vms_path())),
    ] {
        files::replace(path, &text, &own.with_extension("new"))?;
    }
    let command = spec.workdir.as_ref().map(shell_in).transpose()?;
    Ok(remote::ssh(&own, &spec.name, false, remote::Terminal::Forced, command.as_slice()))
}

/// The words that open the user's shell in this folder of the guest; at home, if it is not there.
fn shell_in(workdir: &GuestPath) -> Result<OsString> {
    let quoted = shlex::bytes::try_quote(workdir.as_os_str().as_encoded_bytes())
        .with_context(|| format!("can't open a shell in {workdir}"))?;
    // SAFETY: the bytes of an OsStr, with ASCII characters added between them.
    let quoted = unsafe { OsStr::from_encoded_bytes_unchecked(&quoted) };
    let mut words = OsString::from("cd ");
    words.push(quoted);
    words.push("; exec \"$SHELL\" -l");
    Ok(words)
}

fn qemu_launch(spec: &VmSpec, paths: &Paths, unique: u64, instance: &Instance) -> Launch {
    let (channels, files) = (qemu::channels(spec, unique), instance.files());
    let TimeLimits { boot, ready, poweroff } = spec.limits;
    let mut features = spec.features();
    if matches!(paths.root, RootDisk::Saved(_)) {
        features.push(Feature::Checkpoint);
    }
    let environment = qemu::environment(spec, paths, std::env::vars_os());
    // With a checkpoint they are sent over the control port.
    let keys = match spec.start.value {
        Start::Instant => Vec::new(),
        Start::Boot => instance.credentials().iter().map(|(_, text)| text.clone()).collect(),
    };
    Launch {
        program: paths.qemu.path.clone(),
        args: qemu::argv(spec, paths, &channels),
        jail: jail::policy(spec, paths, &environment),
        scope: spec.scope,
        environment,
        lock: instance.lock(),
        channels,
        card: None,
        shares: Vec::new(),
        keys,
        console_log: Some(files.console_log_path()),
        qemu_log: Some(files.qemu_log_path()),
        features,
        checkpoint: None,
        // A root filesystem of the user may have no agent.
        reports_session: spec.rootfs == Source::Embedded,
        limits: Limits { boot, ready, poweroff, ..Limits::default() },
    }
}

/// Launch plans for tests.
#[cfg(all(test, unix))]
pub mod testing {
    use super::*;
    use crate::host::HostFacts;
    use crate::model::Arch;
    use crate::plan;
    use crate::testing::{config, own};
    use std::path::Path;

    /// A VM with the user's own artifacts. Everything is in `folder`.
    pub fn launch_plan(facts: &HostFacts, folder: &Path) -> LaunchPlan {
        let (spec, artifacts) = own(facts, folder);
        let planner = Planner {
            config: config(""),
            guest: Arch::X86_64,
            vm: plan::WantedVm { is_ephemeral: true, ..crate::testing::vm(spec.name.as_str()) },
            safe: false,
            purpose: Purpose::Session,
        };
        let known_failures = KnownFailures::load(&folder.join("known-failures.json"), "here", "1");
        LaunchPlan {
            dirs: Dirs::below(folder),
            facts: facts.clone(),
            known_failures,
            planner,
            spec,
            artifacts,
            unique: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_opens_in_a_folder_of_any_name() {
        let words = |path: &str| shell_in(&GuestPath::new(path.as_ref()).unwrap()).unwrap();
        assert_eq!(words("/src"), r#"cd /src; exec "$SHELL" -l"#);
        assert_eq!(words("/it's $(odd)"), r#"cd "/it's "'$(odd)'; exec "$SHELL" -l"#);
    }
}
