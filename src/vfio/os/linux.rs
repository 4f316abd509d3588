//! VFIO on this machine: what the commands and a launch do.

#[path = "keeper.rs"]
mod keeper;
#[path = "nodes.rs"]
mod nodes;
#[path = "writer.rs"]
mod writer;

pub use keeper::{Held, hold, keep};
pub use writer::write_one;

use self::writer::ChildWriter;
use crate::error::{Error, Result};
use crate::units::PciAddress;
use crate::vfio::journal::{Entry, Journal, Standing};
use crate::vfio::sysfs::{self, Process, Root};
use crate::vfio::transaction::{self, BindError};
use crate::vfio::{Facts, Handover, Memlock, Obstacle, Privilege, examine};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Reads; changes nothing.
pub fn probe() -> Facts {
    sysfs::facts(&Root::system(), Process { memlock: memlock(), privilege: privilege() })
}

pub fn list() -> Result<Facts> {
    Ok(probe())
}

fn privilege() -> Privilege {
    let on_path = |folder: PathBuf| folder.join("sudo").is_file();
    if geteuid().is_root() {
        Privilege::Root
    } else if std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(on_path)) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

fn memlock() -> Memlock {
    // Bit 14 of capabilities(7); the line of proc_pid_status(5) is hexadecimal.
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default();
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        _ if effective & CAP_IPC_LOCK != 0 => Memlock::Unlimited,
        Ok((_, RLIM_INFINITY)) | Err(_) => Memlock::Unlimited,
        Ok((_, hard)) => Memlock::Bytes(hard),
    }
}

/// Lets QEMU, which inherits it, lock this much, as far as the hard limit goes.
pub fn allow_locking(bytes: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
        && soft < bytes
    {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard.min(bytes), hard);
    }
}

/// Binds by hand; gives what was written. It stays bound when this process ends.
pub fn bind(gpu: PciAddress, force: bool) -> Result<Vec<String>> {
    let facts = probe();
    let handover = allowed(&facts, gpu, force)?;
    if facts.privilege != Privilege::Root {
        return Err(
            Error::bad_input("binding a driver takes root").hint(format!("sudo virtualghost gpu bind {gpu}"))
        );
    }
    if !handover.devices.is_empty() {
        transaction::bind(&Root::system(), &handover, true, &mut ChildWriter).map_err(bind_error)?;
    }
    nodes::grant(&handover.card);
    Ok(handover.writes().iter().map(ToString::to_string).collect())
}

/// # Errors
/// The GPU isn't there, or an obstacle stands. Those that are forced are named on standard error.
fn allowed(facts: &Facts, gpu: PciAddress, force: bool) -> Result<Handover> {
    let function = facts.gpus().find(|function| function.address == gpu).ok_or_else(|| {
        Error::bad_input(format!("there is no GPU at {gpu}")).hint("see what there is: virtualghost gpu list")
    })?;
    let verdict = examine(facts, function);
    if let Some(obstacle) = verdict.refusal(force) {
        return Err(refused(gpu, obstacle));
    }
    for obstacle in &verdict.obstacles {
        eprintln!("warning: {obstacle}");
    }
    Ok(verdict.handover.expect("without it there is an obstacle"))
}

fn refused(gpu: PciAddress, obstacle: &Obstacle) -> Error {
    Error::bad_input(format!("{gpu} can't be handed over: {obstacle}")).hint(obstacle.fix())
}

fn bind_error(error: BindError) -> Error {
    let is_left = matches!(error, BindError::Left { .. });
    let error = Error::from(anyhow::Error::new(error));
    if is_left { error.hint(HOW_TO_GIVE_BACK) } else { error }
}

/// A QEMU that was killed takes a while to let go of its memory, and then of the GPU.
const KILLED_QEMUS_END: Duration = Duration::from_secs(3);

const HOW_TO_GIVE_BACK: &str = "give it back: sudo virtualghost gpu release";

/// Gives back by hand, what was bound by hand and what a killed launch left.
///
/// # Errors
/// A VM has it, or the kernel refuses.
pub fn release(gpu: Option<PciAddress>) -> Result<Vec<PciAddress>> {
    let journal = Journal::new(&Root::system());
    let boot_id = journal.boot_id();
    let entries = journal.entries().into_iter().filter(|entry| gpu.is_none_or(|gpu| gpu == entry.gpu));
    let (held, free): (Vec<_>, Vec<_>) = entries
        .filter(|entry| entry.standing(&boot_id) != Standing::Past)
        .partition(|entry| entry.standing(&boot_id) == Standing::Held);
    if let ([entry, ..], []) = (&held[..], &free[..]) {
        return Err(Error::bad_input(format!(
            "a VM has {} (held by process {})",
            entry.gpu, entry.holder.pid
        ))
        .hint("end the VM: virtualghost stop"));
    }
    if !free.is_empty() && !geteuid().is_root() {
        return Err(Error::bad_input("binding a driver takes root").hint("sudo virtualghost gpu release"));
    }
    free.iter().map(|entry| give_back(entry, KILLED_QEMUS_END).map(|()| entry.gpu)).collect()
}

/// How long a driver that refuses its device is given, time after time.
const REFUSED: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// Waits that long for programs to let go of it.
fn give_back(entry: &Entry, patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    let functions: Vec<_> = entry.devices.iter().map(|device| device.address).collect();
    while let Some(user) = nodes::user(&functions) {
        if Instant::now() >= until {
            return Err(Error::bad_input(format!("{} is still open in {user}", entry.gpu))
                .hint(format!("end that process, then {HOW_TO_GIVE_BACK}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    transaction::release(&Root::system(), entry, &mut ChildWriter, &REFUSED)
        .map_err(|cause| Error::from(cause).hint(HOW_TO_GIVE_BACK))
}

/// At the start of any command: gives back what a killed launch left, or, without the right to, says how. A sentence
/// for each GPU.
pub fn recover() -> Vec<String> {
    let journal = Journal::new(&Root::system());
    let entries = journal.entries();
    let boot_id = if entries.is_empty() { String::new() } else { journal.boot_id() };
    let left = |entry: &Entry| match (entry.standing(&boot_id), geteuid().is_root()) {
        (Standing::Held | Standing::Kept, _) | (Standing::Past, false) => None,
        (Standing::Past, true) => {
            // Its devices are with their own drivers; only the file is left.
            let _ = journal.remove(entry.gpu);
            None
        }
        (Standing::Orphaned, true) => Some(match give_back(entry, KILLED_QEMUS_END) {
            Ok(()) => format!("{} was given back to the host: a launch had been killed", entry.gpu),
            Err(error) => error.to_string(),
        }),
        (Standing::Orphaned, false) => {
            Some(format!("{} is not with the host: a launch was killed; {HOW_TO_GIVE_BACK}", entry.gpu))
        }
    };
    entries.iter().filter_map(left).collect()
}
