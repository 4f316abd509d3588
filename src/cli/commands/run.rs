//! `virtualghost run`: starts a VM. The default command.

use super::launch_plan;
use crate::cli::args::{ProgramArgs, RunArgs};
use crate::cli::folder;
use crate::cli::output::print;
use crate::config::{DisplayChoice, Setting};
use crate::error::Result;
use crate::launch::{self, LaunchPlan, Purpose, Request};
use crate::model::Shares;
use crate::model::units::VmName;
use crate::payload::Blobs;
use crate::sys::files;
use crate::{doctor, instance, jail, qemu, remote};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// `command`: the program that the VM is for, if it is for one.
pub fn run(
    args: &RunArgs,
    program: &ProgramArgs,
    command: &[OsString],
    verbose: bool,
    blobs: &'static Blobs,
) -> Result<ExitCode> {
    args.folder.as_deref().map_or(Ok(()), folder::check)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None if args.ephemeral => instance::ephemeral_name(),
        None => VmName::default(),
    };
    let mut layer = args.vm.layer();
    if !command.is_empty() && layer.display.is_none() {
        layer.display = Some(Setting::flag("display", DisplayChoice::None));
    }
    layer.keep = args.keep.map(|keep| Setting::flag("keep", keep));
    if !args.share.is_empty() {
        layer.shares = Some(Setting::flag("share", Shares(args.share.clone())));
    }
    layer.git_identity = args.git_identity.then(|| Setting::flag("git-identity", true));
    let request = Request {
        ephemeral: args.ephemeral,
        folder: args.folder.clone(),
        share_anyway: args.share_anyway,
        ..Request::new(name, Purpose::Session)
    };
    let mut plan = launch_plan(layer, request, blobs)?;
    plan.planner.safe = args.safe;
    plan.spec.safe = args.safe;
    if args.dry_run {
        return dry_run(&plan, verbose);
    }
    files::restrict_umask();
    // A script on standard input is for the user's shell in the VM.
    if !command.is_empty() || (plan.spec.headless && !args.detach && files::is_stdin_for_a_shell()) {
        let mut program = program.program(command)?;
        let workdir = plan.spec.workdir.as_ref().map(|place| place.as_os_str().to_owned());
        program.folder = program.folder.or(workdir);
        remote::check_client()?;
        return launch::launch_for(program, &mut plan)
            .map_err(|error| error.with_notes(doctor::after_failure(&plan)));
    }
    if args.detach {
        return launch::detach(&plan.dirs.vms_path(), &plan.spec.name, args.name.is_some());
    }
    // Without a screen, the session opens in the user's terminal.
    if plan.spec.headless && io::stdin().is_terminal() && io::stdout().is_terminal() {
        remote::check_client()?;
        plan.planner.purpose = Purpose::AttachedShell;
    }
    launch::launch(&mut plan).map_err(|error| error.with_notes(doctor::after_failure(&plan)))
}

/// Prints the plan with its reasons, then QEMU's command line, quoted for a shell. `verbose`: the jail in between.
fn dry_run(plan: &LaunchPlan, verbose: bool) -> Result<ExitCode> {
    let paths = plan.paths(&plan.start_mode());
    // The folder of a launch's overlays has its process ID as its name.
    let pid = std::process::id().to_string();
    let folder = |name: &str| ["overlays", name, ""].join(std::path::MAIN_SEPARATOR_STR);
    let command =
        launch::command_line(&plan.spec, &paths, plan.unique).replace(&folder(&pid), &folder("PID"));
    let environment = qemu::environment(&plan.spec, &paths, std::env::vars_os());
    match jail::policy(&plan.spec, &paths, &environment).filter(|_| verbose) {
        Some(jail) => print(format_args!("{}\n{jail}\n\n{command}", plan.spec)),
        None => print(format_args!("{}\n{command}", plan.spec)),
    }
}
