//! Running VMs: found by their locks, stopped through their launchers.

use super::{LOCK, Phase, STOP_LOCK, VmFiles, VmState, lock};
use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::sys::{FileLock, files};
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A running VM.
#[derive(Debug, Clone)]
pub struct RunningVm {
    pub name: VmName,
    pub files: VmFiles,
    /// None for a moment after its start.
    pub state: Option<VmState>,
}

/// All running VMs, sorted by name.
pub fn list(vms: &Path) -> Vec<RunningVm> {
    let entries = fs::read_dir(vms).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<VmName>().ok());
    let mut found: Vec<_> = names.filter_map(|name| running(vms, &name)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The VM with this name, if it is running.
pub fn running(vms: &Path, name: &VmName) -> Option<RunningVm> {
    let files = VmFiles::new(vms, name);
    if !FileLock::is_held(&files.0.join(LOCK)).unwrap_or_default() {
        return None;
    }
    let state = VmState::load(&files.0).filter(|state| state.launcher().is_alive());
    Some(RunningVm { name: name.clone(), files, state })
}

/// The VM for a command: the named one; without a name the default one, or the only one that is running.
///
/// # Errors
/// It is not running, or several VMs are.
pub fn find(vms: &Path, name: Option<&VmName>) -> Result<RunningVm> {
    if let Some(name) = name {
        return running(vms, name).ok_or_else(|| {
            Error::bad_input(format!("no VM named {name} is running")).hint(match &list(vms)[..] {
                [] => format!("start it: virtualghost --name {name}"),
                others => format!("running: {}; or start it: virtualghost --name {name}", names(others)),
            })
        });
    }
    let mut found = list(vms);
    if let Some(default) = found.iter().position(|vm| vm.name.as_str() == "default") {
        return Ok(found.swap_remove(default));
    }
    match found.len() {
        0 => Err(Error::bad_input("no VM is running").hint("start one: virtualghost")),
        1 => Ok(found.remove(0)),
        _ => {
            Err(Error::bad_input(format!("several VMs are running: {}", names(&found))).hint("add its name"))
        }
    }
}

fn names(found: &[RunningVm]) -> String {
    found.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Added to the guest's time limit for a power-off: the launcher then stops QEMU and cleans up.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// Powers the VM off, or with `force` stops it at once, and returns when it has ended. If it is stopping already, or
/// another process is stopping it, this only waits: a second request would stop it at once.
///
/// # Errors
/// It is still running after its power-off limit and some more seconds.
pub fn stop(vms: &Path, vm: &RunningVm, force: bool) -> Result<()> {
    let ends = |within: Duration| ends(vms, &vm.name, within);
    // Held until the VM has ended. If the lock file can't be created, the VM is stopped all the same.
    let stopping = FileLock::try_exclusive(&vm.files.0.join(STOP_LOCK));
    let is_another = matches!(stopping, Ok(None));
    // Read once no other process requests a stop. A launcher writes its state as soon as it has its name.
    let Some(state) = state_of(vms, vm) else {
        if ends(Duration::ZERO) {
            return Ok(());
        }
        return Err(Error::new(
            Kind::Failed,
            format!("can't stop {}: its state file is missing the launcher's pid", vm.name),
        ));
    };
    let request = || match state.launcher().ask_to_stop() {
        Err(e) if running(vms, &vm.name).is_some() => {
            Err(e).with_context(|| format!("can't stop {} (pid {})", vm.name, state.pid))
        }
        _ => Ok(()),
    };
    if force {
        return stop_at_once(vm, &state, request, ends);
    }
    if !is_another && state.state != Phase::Stopping {
        request()?;
    }
    if ends(Duration::from_secs(state.poweroff_timeout) + CLEAN_UP) {
        return Ok(());
    }
    Err(still_running(&vm.name))
}

pub(super) fn still_running(name: &VmName) -> Error {
    Error::new(Kind::Failed, format!("{name} is still running"))
        .hint(format!("stop it at once: virtualghost stop --force {name}"))
}

/// A second request stops the VM at once; a launcher that does not react is killed, and QEMU with it.
fn stop_at_once(
    vm: &RunningVm,
    state: &VmState,
    request: impl Fn() -> anyhow::Result<()>,
    ends: impl Fn(Duration) -> bool,
) -> Result<()> {
    request()?;
    if !ends(Duration::from_millis(300)) {
        request()?;
    }
    if !ends(Duration::from_secs(8)) {
        state.launcher().kill().with_context(|| format!("can't kill {} (pid {})", vm.name, state.pid))?;
        ends(Duration::from_secs(5));
    }
    Ok(())
}

fn ends(vms: &Path, name: &VmName, within: Duration) -> bool {
    let until = Instant::now() + within;
    loop {
        if running(vms, name).is_none() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits a moment for a launcher that has just started.
fn state_of(vms: &Path, vm: &RunningVm) -> Option<VmState> {
    const MOMENT: Duration = Duration::from_secs(2);
    let until = Instant::now() + MOMENT;
    loop {
        let state = running(vms, &vm.name)?.state;
        if state.is_some() || Instant::now() > until {
            return state;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes a VM's files on the host, and what it keeps with `kept`. Reserves the name meanwhile.
///
/// # Errors
/// It is running.
pub fn remove(vms: &Path, name: &VmName, kept: impl FnOnce() -> Result<()>) -> Result<()> {
    let files = VmFiles::new(vms, name);
    let Some(held) = lock(&files)? else {
        return Err(super::rename::running(name));
    };
    kept()?;
    files::remove_locked(&files.0, held).with_context(|| format!("can't remove {}", files.0.display()))?;
    Ok(())
}
