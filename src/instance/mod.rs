//! A VM as the host knows it: its name, its lock, its state, its keys, its logs, its home.
//!
//! A name is taken by a lock of the kernel's, which ends with its holder, however that dies. So whether a VM runs is
//! asked of the lock; the state file beside it only tells about a VM that does, and what a crash left behind is
//! overwritten by the next start.

mod home;
mod keys;
mod list;
mod overlays;
mod process;
mod state;

pub use home::Home;
pub use keys::{HOST_ALIAS, KNOWN_HOSTS, ROOT_KEY, USER_KEY, entropy};
pub use list::{Found, find, list, remove, running, stop};
pub use overlays::Overlays;
pub use process::{allow_stop_requests, started as process_started};
pub use state::{AgentAddress, Phase, State, TerminalSize};

use crate::error::{Error, Kind, Result};
use crate::fault::{self, Point};
use crate::folders;
use crate::units::VmName;
use anyhow::Context;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONSOLE_LOG: &str = "console.log";
const QEMU_LOG: &str = "qemu.log";
const LOCK: &str = "lock";
/// Held by the process that stops the VM.
const STOP_LOCK: &str = "stop.lock";
const KEYS: &str = "keys";
const SSH_CONFIG: &str = "ssh-config";

/// Names of VMs that keep nothing, made from the process id of their launcher: no two live ones have the same.
const EPHEMERAL: &str = "ephemeral-";

/// A name for a VM that keeps nothing.
pub fn ephemeral_name() -> VmName {
    format!("{EPHEMERAL}{}", std::process::id()).parse().expect("letters, digits and a hyphen")
}

/// The files of one VM, by its folder.
#[derive(Debug, Clone)]
pub struct Files(PathBuf);

impl Files {
    pub fn new(vms: &Path, name: &VmName) -> Self {
        Self(vms.join(name.as_str()))
    }

    /// What the guest said on its console, since its start.
    pub fn console_log_path(&self) -> PathBuf {
        self.0.join(CONSOLE_LOG)
    }

    /// What QEMU said on its standard error.
    pub fn qemu_log_path(&self) -> PathBuf {
        self.0.join(QEMU_LOG)
    }

    /// What a launcher without a terminal had to say.
    pub fn launcher_log_path(&self) -> PathBuf {
        self.0.join("launcher.log")
    }

    /// The keys of this start.
    pub fn keys_path(&self) -> PathBuf {
        self.0.join(KEYS)
    }

    /// OpenSSH's configuration for this VM, there while it runs.
    pub fn ssh_config_path(&self) -> PathBuf {
        self.0.join(SSH_CONFIG)
    }
}

/// A name taken for as long as this lives.
pub struct Instance {
    name: VmName,
    files: Files,
    /// None only while it is given back.
    lock: Option<Arc<File>>,
}

impl Instance {
    /// Takes the name, empties the logs and makes new keys. The VM's folder in `vms` is made if needed.
    ///
    /// # Errors
    /// A VM of this name is running, or the folder can't be made or written.
    pub fn take(name: &VmName, vms: &Path) -> Result<Self> {
        let files = Files::new(vms, name);
        folders::create_private(vms)?;
        folders::create_private(&files.0)?;
        fault::point(Point::BeforeLock);
        let Some(lock) = lock(&files)? else {
            return Err(taken(name, State::load(&files.0).as_ref()));
        };
        fault::point(Point::AfterLock);
        sweep(vms);
        for log in [files.console_log_path(), files.qemu_log_path()] {
            File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        }
        let this = Self { name: name.clone(), files, lock: Some(Arc::new(lock)) };
        this.forget();
        keys::make(&this.files.keys_path())?;
        fault::point(Point::AfterKeys);
        Ok(this)
    }

    /// The lock on the name, for QEMU to hold it too.
    pub fn lock(&self) -> Option<Arc<File>> {
        self.lock.clone()
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Tells other commands how this VM fares.
    pub fn tell(&self, state: &State) {
        // The VM is worth more than what is told of it: a full disk must not end it.
        if let Err(e) = state.save(&self.files.0) {
            tracing::warn!("other commands don't learn how {} fares: {e:#}", self.name);
        }
    }

    /// QEMU has read the keys that only the guest needs.
    pub fn drop_guest_keys(&self) {
        keys::drop_guests(&self.files.keys_path());
    }

    fn forget(&self) {
        State::remove(&self.files.0);
        let _ = fs::remove_file(self.files.ssh_config_path());
        let _ = fs::remove_dir_all(self.files.keys_path());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.forget();
        if is_ephemeral(self.name.as_str()) {
            let _ = folders::remove_locked(&self.files.0, self.lock.take());
        }
    }
}

/// The error of a start whose name is taken.
pub fn taken(name: &VmName, holder: Option<&State>) -> Error {
    let pid = holder.map(|state| format!(" (pid {})", state.pid)).unwrap_or_default();
    Error::new(Kind::BadInput, format!("a VM named {name} is running already{pid}")).hint(
        "open another: `virtualghost --name OTHER` (with a home of its own) or `virtualghost --ephemeral` (which keeps nothing)",
    )
}

fn is_ephemeral(name: &str) -> bool {
    name.strip_prefix(EPHEMERAL).is_some_and(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes what a killed launcher's VMs without a name left; they have nothing that is kept.
fn sweep(vms: &Path) {
    for entry in fs::read_dir(vms).into_iter().flatten().flatten() {
        let left = is_ephemeral(&entry.file_name().to_string_lossy())
            && matches!(try_lock(&entry.path().join(LOCK)), Ok(Some(_)));
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The lock, or none if a VM has it. A process that only looks holds it for microseconds, and a QEMU whose launcher was
/// killed for as long as it takes to die; both are waited for.
fn lock(files: &Files) -> Result<Option<File>> {
    const GLANCE: Duration = Duration::from_millis(100);
    const DEATH: Duration = Duration::from_secs(10);
    let path = files.0.join(LOCK);
    let start = Instant::now();
    loop {
        let lock = try_lock(&path).with_context(|| format!("can't lock {}", path.display()))?;
        let orphaned = || State::load(&files.0).is_some_and(|state| !state.is_of_live_process());
        let patience = if lock.is_none() && orphaned() { DEATH } else { GLANCE };
        if lock.is_some() || start.elapsed() > patience {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn try_lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests;
