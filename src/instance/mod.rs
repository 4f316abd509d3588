//! A VM as the host knows it: its name, its lock, its state, its keys, its logs, its home, its system.
//!
//! A lock held by the kernel reserves a name, and is released when its holder ends, for whatever reason. So the lock decides
//! whether a VM is running; the state file beside it only describes a running VM, and the next start overwrites what a
//! crash left behind.

mod clone;
mod disk_copy;
mod home;
mod kept;
mod keys;
mod known;
mod list;
mod overlay;
mod rename;
mod scratch;
pub mod snapshots;
mod state;
mod system;
mod write_limit;

pub use clone::clone;
pub use home::HomeFile;
pub use kept::Kept;
pub use keys::{Credentials, HOST_ALIAS, KNOWN_HOSTS, ROOT_KEY, USER_KEY, entropy, random};
pub use known::{KeptDisk, KnownVm, existing, known};
#[cfg(test)]
use list::still_running;
pub use list::{RunningVm, find, list, remove, running, stop};
pub use overlay::create_overlay;
pub use rename::rename;
pub use scratch::Scratch;
pub use state::{AgentAddress, Phase, TerminalSize, VmState};
pub use system::System;
pub use write_limit::WriteLimit;

use crate::error::{Error, Kind, Result};
use crate::failpoints::{self, FailPoint};
use crate::model::units::VmName;
use crate::sys::{FileLock, PASSES_DESCRIPTORS, files};
use anyhow::Context;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONSOLE_LOG: &str = "console.log";
const QEMU_LOG: &str = "qemu.log";
const NETWORK_LOG: &str = "network.log";
const LOCK: &str = "lock";
/// Held by the process that stops the VM.
const STOP_LOCK: &str = "stop.lock";
const CACHE: &str = "cache";
const KEYS: &str = "keys";
const SSH_CONFIG: &str = "ssh-config";

/// Marks the folder of an ephemeral VM, and is its first file: the next start removes the folder if the launcher was
/// killed.
const EPHEMERAL: &str = "ephemeral";

/// A name for an ephemeral VM, from the launcher's process id.
pub fn ephemeral_name() -> VmName {
    format!("ephemeral-{}", std::process::id()).parse().expect("letters, digits and a hyphen")
}

/// The paths of one VM's files.
#[derive(Debug, Clone)]
pub struct VmFiles(PathBuf);

impl VmFiles {
    pub fn new(vms: &Path, name: &VmName) -> Self {
        Self(vms.join(name.as_str()))
    }

    /// The guest's console since its start.
    pub fn console_log_path(&self) -> PathBuf {
        self.0.join(CONSOLE_LOG)
    }

    /// QEMU's standard error.
    pub fn qemu_log_path(&self) -> PathBuf {
        self.0.join(QEMU_LOG)
    }

    /// The messages of a launcher without a terminal.
    pub fn launcher_log_path(&self) -> PathBuf {
        self.0.join("launcher.log")
    }

    /// There while a paused VM is asked to run again.
    pub fn resume_request_path(&self) -> PathBuf {
        self.0.join("resume")
    }

    /// The socket at which the network's account is shown.
    pub fn network_socket_path(&self) -> PathBuf {
        self.0.join("network")
    }

    /// There while another command asks for another policy of the network.
    pub fn network_request_path(&self) -> PathBuf {
        self.0.join("network-request")
    }

    /// Which destinations the guest has reached, and which were refused.
    pub fn network_log_path(&self) -> PathBuf {
        self.0.join(NETWORK_LOG)
    }

    /// The socket to the guest's agent, where it is reached through the network card.
    pub fn agent_socket_path(&self) -> PathBuf {
        self.0.join("agent")
    }

    /// There for a moment, while QEMU's connection to the server of a shared folder is made.
    pub fn share_socket_path(&self) -> PathBuf {
        self.0.join("share")
    }

    /// What QEMU keeps between starts: compiled shaders, lists of fonts.
    pub fn cache_path(&self) -> PathBuf {
        self.0.join(CACHE)
    }

    /// The keys of this start.
    pub fn keys_path(&self) -> PathBuf {
        self.0.join(KEYS)
    }

    /// The beginning of the paths of the sockets at which OpenSSH shares a connection to this VM. None if a socket's path
    /// would be too long: 104 bytes at most on macOS, and OpenSSH adds 17 while it makes one.
    pub fn control_path(&self) -> Option<PathBuf> {
        const LONGEST: usize = 104 - 17 - "-ghost".len() - 1;
        Some(self.0.join("control")).filter(|path| path.as_os_str().len() <= LONGEST)
    }

    /// OpenSSH's configuration for this VM, which exists while it is running.
    pub fn ssh_config_path(&self) -> PathBuf {
        self.0.join(SSH_CONFIG)
    }
}

/// A reserved name, released on drop.
pub struct Instance {
    name: VmName,
    files: VmFiles,
    ephemeral: bool,
    credentials: Credentials,
    /// None only while it is released.
    lock: Option<Arc<FileLock>>,
}

impl Instance {
    /// Reserves the name, empties the logs and makes new keys. Creates the VM's folder in `vms` if needed; the folder of an
    /// `ephemeral` VM is removed on drop.
    ///
    /// # Errors
    /// A VM with this name is running, or the folder can't be created or written.
    pub fn take(name: &VmName, vms: &Path, ephemeral: bool) -> Result<Self> {
        let files = VmFiles::new(vms, name);
        files::create_private(vms)?;
        failpoints::hit(FailPoint::BeforeLock);
        let Some(lock) = lock(&files)? else {
            return Err(name_in_use(name, VmState::load(&files.0).as_ref()));
        };
        failpoints::hit(FailPoint::AfterLock);
        let lock = Some(Arc::new(lock));
        let mut this = Self { name: name.clone(), files, ephemeral, credentials: Vec::new(), lock };
        this.mark()?;
        sweep(vms);
        let files = &this.files;
        for log in [files.console_log_path(), files.qemu_log_path(), files.network_log_path()] {
            File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        }
        this.forget();
        files::create_private(&this.files.cache_path())?;
        this.credentials = keys::make(&this.files.keys_path())?;
        if !PASSES_DESCRIPTORS {
            keys::write_guests(&this.files.keys_path(), &this.credentials)?;
        }
        failpoints::hit(FailPoint::AfterKeys);
        Ok(this)
    }

    fn mark(&self) -> Result<()> {
        let mark = self.files.0.join(EPHEMERAL);
        let marked = match (self.ephemeral, mark.exists()) {
            (true, false) => File::create(&mark).map(drop),
            (false, true) => fs::remove_file(&mark),
            _ => Ok(()),
        };
        Ok(marked.with_context(|| format!("can't write {}", mark.display()))?)
    }

    /// The lock on the name, so that QEMU can hold it too.
    pub fn lock(&self) -> Option<Arc<FileLock>> {
        self.lock.clone()
    }

    /// What the guest gets.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn files(&self) -> &VmFiles {
        &self.files
    }

    /// Writes the state file, which other commands read.
    pub fn publish(&self, state: &VmState) {
        // A full disk must not stop the VM.
        if let Err(e) = state.save(&self.files.0) {
            tracing::warn!("could not write {}'s state file: {e:#}", self.name);
        }
        // The disk of a paused VM is full. Without the reserve, all that is lost is what `ps` shows of the next pause.
        if state.state != Phase::Paused {
            let _ = VmState::reserve(&self.files.0);
        }
    }

    /// Removes the files with keys that only the guest needs, if there are any, once QEMU has read them.
    pub fn drop_guest_keys(&self) {
        keys::drop_guests(&self.files.keys_path());
    }

    fn forget(&self) {
        VmState::remove(&self.files.0);
        let _ = fs::remove_file(self.files.ssh_config_path());
        let _ = fs::remove_file(self.files.resume_request_path());
        let _ = fs::remove_file(self.files.agent_socket_path());
        let _ = fs::remove_file(self.files.network_socket_path());
        let _ = fs::remove_file(self.files.network_request_path());
        let _ = fs::remove_file(self.files.share_socket_path());
        let _ = fs::remove_dir_all(self.files.keys_path());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.forget();
        if self.ephemeral {
            let _ = files::remove_locked(&self.files.0, self.lock.take());
        }
    }
}

/// The error of a start whose name is in use.
pub fn name_in_use(name: &VmName, holder: Option<&VmState>) -> Error {
    let pid = holder.map(|state| format!(" (pid {})", state.pid)).unwrap_or_default();
    Error::new(Kind::BadInput, format!("a VM named {name} is already running{pid}")).hint(
        "start another: `virtualghost --name OTHER` (with its own home) or `virtualghost --ephemeral` (keeps nothing)",
    )
}

/// Removes the folders of ephemeral VMs whose launcher was killed.
fn sweep(vms: &Path) {
    for entry in fs::read_dir(vms).into_iter().flatten().flatten() {
        let folder = entry.path();
        if folder.join(EPHEMERAL).exists()
            && let Ok(Some(lock)) = FileLock::try_exclusive(&folder.join(LOCK))
        {
            let _ = files::remove_locked(&folder, lock);
        }
    }
}

/// The lock, or None if a VM has it. Waits for a process that only checks whether the VM is running (it has a shared lock
/// for microseconds), and for the end of a QEMU whose launcher was killed.
fn lock(files: &VmFiles) -> Result<Option<FileLock>> {
    const CHECK: Duration = Duration::from_millis(100);
    const EXIT: Duration = Duration::from_secs(10);
    let path = files.0.join(LOCK);
    let start = Instant::now();
    loop {
        files::create_private(&files.0)?;
        let lock = match FileLock::try_exclusive(&path) {
            // Its folder was removed meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            lock => lock.with_context(|| format!("can't lock {}", path.display()))?,
        };
        let orphaned = || VmState::load(&files.0).is_some_and(|state| !state.launcher().is_alive());
        let limit = if lock.is_none() && orphaned() { EXIT } else { CHECK };
        if lock.is_some() || start.elapsed() > limit {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, unix))]
mod texts;
