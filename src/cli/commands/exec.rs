//! `virtualghost exec`: runs a program in a VM.

use super::reachable;
use crate::cli::args::ExecArgs;
use crate::error::Result;
use crate::remote::exec::{self, Place};
use crate::sys::{StopHandle, StopSignal};
use anyhow::Context;
use std::process::ExitCode;

pub fn run(args: &ExecArgs) -> Result<ExitCode> {
    let program = args.program.program(&args.command)?;
    let vm = reachable(args.name.as_ref())?;
    let stop = StopHandle::of_signals(&StopSignal::ALL).context("can't handle signals")?;
    let _listening = stop.wake(|| ()).context("can't handle signals")?;
    let place = Place { config: vm.files.ssh_config_path(), name: vm.name, root: args.root };
    exec::run(&place, &program, &stop).map(ExitCode::from)
}
