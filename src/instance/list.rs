//! The VMs that run: found by their locks, stopped through their launchers.

use super::{Files, LOCK, Phase, STOP_LOCK, State, lock, process, try_lock};
use crate::error::{Error, Result};
use crate::folders;
use crate::units::VmName;
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A VM that runs.
#[derive(Debug, Clone)]
pub struct Found {
    pub name: VmName,
    pub files: Files,
    /// None for a moment after its start.
    pub state: Option<State>,
}

/// Every VM that runs, by name.
pub fn list(vms: &Path) -> Vec<Found> {
    let entries = fs::read_dir(vms).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<VmName>().ok());
    let mut found: Vec<_> = names.filter_map(|name| running(vms, &name)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The VM of this name, if it runs.
pub fn running(vms: &Path, name: &VmName) -> Option<Found> {
    let files = Files::new(vms, name);
    let path = files.0.join(LOCK);
    // Not made here: a VM that never ran has none.
    if !path.exists() || !matches!(try_lock(&path), Ok(None)) {
        return None;
    }
    let state = State::load(&files.0).filter(State::is_of_live_process);
    Some(Found { name: name.clone(), files, state })
}

/// The VM that a command means: the one named; without a name the default one, or the only one that runs.
///
/// # Errors
/// It does not run, or several do.
pub fn find(vms: &Path, name: Option<&VmName>) -> Result<Found> {
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
        _ => Err(Error::bad_input(format!("which VM? {} are running", names(&found))).hint("say its name")),
    }
}

fn names(found: &[Found]) -> String {
    found.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Powers the VM off, or with `force` pulls its plug, and returns when it is gone. One that is stopping already, or is
/// being stopped by another process, is only waited for: a launcher takes a second request for `force`.
///
/// # Errors
/// It is still there after `patience`.
pub fn stop(vms: &Path, vm: &Found, force: bool, patience: Duration) -> Result<()> {
    let ends = |within: Duration| {
        let until = Instant::now() + within;
        loop {
            if running(vms, &vm.name).is_none() {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let still_there = || {
        Error::bad_input(format!("{} is still running", vm.name))
            .hint(format!("pull its plug: virtualghost stop --force {}", vm.name))
    };
    // Held until the VM is gone. Where it can't be made, the VM is stopped all the same.
    let asking = try_lock(&vm.files.0.join(STOP_LOCK));
    if !force && matches!(asking, Ok(None)) {
        return if ends(patience) { Ok(()) } else { Err(still_there()) };
    }
    // Read once nobody else asks. A launcher tells its state as soon as it has its name.
    let mut state = running(vms, &vm.name).and_then(|vm| vm.state);
    for _ in 0..100 {
        if state.is_some() || ends(Duration::from_millis(20)) {
            break;
        }
        state = running(vms, &vm.name).and_then(|vm| vm.state);
    }
    let Some(state) = state else {
        if ends(Duration::ZERO) {
            return Ok(());
        }
        return Err(Error::bad_input(format!(
            "{} is running, but its launcher does not tell its process",
            vm.name
        )));
    };
    let cannot = || format!("can't stop {} (pid {})", vm.name, state.pid);
    let ask = || match process::ask_to_stop(state.pid, state.pid_started) {
        Err(e) if running(vms, &vm.name).is_some() => Err(e).with_context(cannot),
        _ => Ok(()),
    };
    if state.state != Phase::Stopping || force {
        ask()?;
    }
    if !force {
        return if ends(patience) { Ok(()) } else { Err(still_there()) };
    }
    // A second request means at once; a launcher that hears none is killed, and takes QEMU with it.
    if !ends(Duration::from_millis(300)) {
        ask()?;
    }
    if !ends(Duration::from_secs(8)) {
        process::kill(state.pid, state.pid_started).with_context(cannot)?;
        ends(Duration::from_secs(5));
    }
    Ok(())
}

/// Removes what is kept of a VM on the host's side, but for its home. Holds its name meanwhile.
///
/// # Errors
/// It runs.
pub fn remove(vms: &Path, name: &VmName, home: impl FnOnce() -> Result<()>) -> Result<()> {
    let files = Files::new(vms, name);
    folders::create_private(&files.0)?;
    let Some(held) = lock(&files)? else {
        return Err(Error::bad_input(format!("{name} is running"))
            .hint(format!("stop it first: virtualghost stop {name}")));
    };
    home()?;
    folders::remove_locked(&files.0, held).with_context(|| format!("can't remove {}", files.0.display()))?;
    Ok(())
}
