//! `--detach`: the same launch in a process without a terminal. This one waits until the session is ready.

use crate::error::{Error, Kind, Result};
use crate::instance::{self, Phase, VmFiles};
use crate::model::units::VmName;
use crate::sys::{ProcessId, StopHandle, files, output, process};
use anyhow::Context;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// The status of a shell's command that Ctrl-C has ended.
const CANCELLED: u8 = 130;

/// Starts this program again with the same arguments but `--detach`, and `--name` if the user gave none. Its output goes to
/// the VM's launcher.log, and from there to standard error until the session is ready. A request to stop meanwhile, and an
/// output that nobody reads any more, stop the VM.
///
/// # Errors
/// The name is in use, or the launch failed; then its own message is on standard error.
pub fn detach(vms: &Path, name: &VmName, is_named: bool) -> Result<ExitCode> {
    if let Some(vm) = instance::running(vms, name) {
        return Err(instance::name_in_use(name, vm.state.as_ref()));
    }
    let stop = StopHandle::of_this_process().context("can't handle Ctrl-C")?;
    let (mut launcher, mut log) = start(vms, name, is_named)?;
    let _listening = stop.wake(|| ()).context("can't handle Ctrl-C")?;
    let mut requests = 0;
    loop {
        let ended = launcher.try_wait().context("can't watch the launcher")?;
        let state = instance::running(vms, name).and_then(|vm| vm.state);
        if io::copy(&mut log, &mut io::stderr()).is_err() && requests == 0 {
            stop.request();
        }
        match ended.map(|status| status.code()) {
            Some(_) if requests > 0 => return Ok(ExitCode::from(CANCELLED)),
            Some(Some(code @ 1..=255)) => return Ok(ExitCode::from(code as u8)),
            Some(Some(_)) => {
                return Err(Error::new(Kind::VmDied, format!("{name} ended before its session was ready")));
            }
            Some(None) => return Err(Error::new(Kind::Failed, format!("the launcher of {name} was killed"))),
            None if requests < stop.requests() => {
                requests += 1;
                // One that ends at this moment is found by the next look.
                let _ = ProcessId::of(launcher.id()).map(ProcessId::ask_to_stop);
            }
            None if requests == 0 && state.is_some_and(|state| state.state == Phase::Ready) => {
                output::line(name).context("can't write to standard output")?;
                return Ok(ExitCode::SUCCESS);
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The launcher, and what it writes.
fn start(vms: &Path, name: &VmName, is_named: bool) -> Result<(Child, File)> {
    let executable = process::this_program()?;
    let mut command = Command::new(&executable);
    command.args(std::env::args_os().skip(1).filter(|word| word != "--detach"));
    if !is_named {
        command.args(["--name", name.as_str()]);
    }
    files::create_private(vms)?;
    files::create_private(&vms.join(name.as_str()))?;
    let path = VmFiles::new(vms, name).launcher_log_path();
    let log = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    let reader = File::open(&path).with_context(|| format!("can't read {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    process::leave_terminal(&mut command);
    let launcher = command.spawn().with_context(|| format!("can't start {}", executable.display()))?;
    Ok((launcher, reader))
}
