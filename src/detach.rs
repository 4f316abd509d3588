//! `--detach`: the same launch in a process without a terminal, which is watched until its session is ready.

use crate::error::{Error, Kind, Result};
use crate::folders;
use crate::instance::{self, Files, Phase};
use crate::units::VmName;
use anyhow::Context;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

#[cfg_attr(unix, path = "detach/unix.rs")]
#[cfg_attr(windows, path = "detach/windows.rs")]
mod os;

/// Starts this program again with the same words but `--detach`, and `--name` if that was not said. What it says
/// goes to the VM's launcher.log, and from there to standard error until the session is ready.
///
/// # Errors
/// The name is taken, or the launch failed; its own message is on standard error then.
pub fn detach(vms: &Path, name: &VmName, is_said: bool) -> Result<ExitCode> {
    if let Some(vm) = instance::running(vms, name) {
        return Err(instance::taken(name, vm.state.as_ref()));
    }
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let mut command = Command::new(&executable);
    command.args(std::env::args_os().skip(1).filter(|word| word != "--detach"));
    if !is_said {
        command.args(["--name", name.as_str()]);
    }
    let folder = vms.join(name.as_str());
    folders::create_private(vms)?;
    folders::create_private(&folder)?;
    let path = Files::new(vms, name).launcher_log_path();
    let log = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    let mut said = File::open(&path).with_context(|| format!("can't read {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    os::leave_terminal(&mut command);
    let mut launcher = command.spawn().with_context(|| format!("can't start {}", executable.display()))?;
    loop {
        let ended = launcher.try_wait().context("can't watch the launcher")?;
        let state = instance::running(vms, name).and_then(|vm| vm.state);
        let _ = io::copy(&mut said, &mut io::stderr());
        match ended.map(|status| status.code()) {
            Some(Some(code @ 1..=255)) => return Ok(ExitCode::from(code as u8)),
            Some(Some(_)) => {
                return Err(Error::new(Kind::VmDied, format!("{name} ended before its session was ready")));
            }
            Some(None) => return Err(Error::new(Kind::Failed, format!("the launcher of {name} was killed"))),
            None if state.is_some_and(|state| state.state == Phase::Ready) => {
                println!("{name}");
                return Ok(ExitCode::SUCCESS);
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
