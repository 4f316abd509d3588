//! VFIO on Linux: what the commands and a launch do.

#[path = "broker.rs"]
mod broker;
#[path = "nodes.rs"]
mod nodes;
#[path = "sysfs_writer.rs"]
mod sysfs_writer;

pub use broker::{GpuLease, hold, keep};
pub use sysfs_writer::write_one;

use self::sysfs_writer::ChildWriter;
use crate::error::{Error, Kind, Result};
use crate::host::pci::sysfs::Root;
use crate::host::pci::{self, PciFacts, Privilege};
use crate::model::BindPlan;
use crate::model::units::PciAddress;
use crate::sys::output;
use crate::vfio::journal::{Journal, JournalEntry, Standing};
use crate::vfio::transaction::{self, BindError};
use crate::vfio::{Obstacle, examine};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;
use std::time::{Duration, Instant};

pub fn list() -> Result<PciFacts> {
    Ok(pci::probe())
}

/// Raises the limit of locked memory for QEMU, which inherits it, up to the hard limit.
pub fn allow_locking(bytes: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
        && soft < bytes
    {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard.min(bytes), hard);
    }
}

/// Binds by hand, and returns what was written. It stays bound when this process ends.
pub fn bind(gpu: PciAddress, force: bool) -> Result<Vec<String>> {
    let facts = pci::probe();
    let bind_plan = allowed(&facts, gpu, force)?;
    if facts.privilege != Privilege::Root {
        return Err(
            Error::bad_input("binding a driver needs root").hint(format!("sudo virtualghost gpu bind {gpu}"))
        );
    }
    if !bind_plan.devices.is_empty() {
        transaction::bind(&Root::system(), &bind_plan, true, &mut ChildWriter).map_err(bind_error)?;
    }
    nodes::grant(&bind_plan.card);
    Ok(bind_plan.writes().iter().map(ToString::to_string).collect())
}

/// # Errors
/// The GPU does not exist, or there is an obstacle. Obstacles that are overridden are printed on standard error.
fn allowed(facts: &PciFacts, gpu: PciAddress, force: bool) -> Result<BindPlan> {
    let function = facts.gpus().find(|function| function.address == gpu).ok_or_else(|| {
        Error::bad_input(format!("there is no GPU at {gpu}")).hint("list the GPUs: virtualghost gpu list")
    })?;
    let eligibility = examine(facts, function);
    if let Some(obstacle) = eligibility.refusal(force) {
        return Err(refused(gpu, obstacle));
    }
    for obstacle in &eligibility.obstacles {
        output::error_line(format_args!("warning: {obstacle}"));
    }
    Ok(eligibility.bind_plan.expect("without it there is an obstacle"))
}

fn refused(gpu: PciAddress, obstacle: &Obstacle) -> Error {
    Error::bad_input(format!("{gpu} can't be passed to a VM: {obstacle}")).hint(obstacle.fix())
}

fn bind_error(error: BindError) -> Error {
    let is_left = matches!(error, BindError::Left { .. });
    let error = Error::from(anyhow::Error::new(error));
    if is_left { error.hint(HOW_TO_RELEASE) } else { error }
}

/// A killed QEMU needs a while to free its memory, and then the GPU.
const KILLED_QEMUS_EXIT: Duration = Duration::from_secs(3);

const HOW_TO_RELEASE: &str = "release it: sudo virtualghost gpu release";

/// Releases GPUs by hand: those bound by hand and those that a killed launch left bound.
///
/// # Errors
/// A VM is using it, or the kernel refuses.
pub fn release(gpu: Option<PciAddress>) -> Result<Vec<PciAddress>> {
    let journal = Journal::new(&Root::system());
    let boot_id = journal.boot_id();
    let entries = journal.entries().into_iter().filter(|entry| gpu.is_none_or(|gpu| gpu == entry.gpu));
    let (held, free): (Vec<_>, Vec<_>) = entries
        .filter(|entry| entry.standing(&boot_id) != Standing::Past)
        .partition(|entry| entry.standing(&boot_id) == Standing::Held);
    if let ([entry, ..], []) = (&held[..], &free[..]) {
        return Err(Error::bad_input(format!(
            "a VM is using {} (held by process {})",
            entry.gpu, entry.holder.pid
        ))
        .hint("stop the VM: virtualghost stop"));
    }
    if !free.is_empty() && !geteuid().is_root() {
        return Err(Error::bad_input("binding a driver needs root").hint("sudo virtualghost gpu release"));
    }
    free.iter().map(|entry| return_to_host(entry, KILLED_QEMUS_EXIT).map(|()| entry.gpu)).collect()
}

/// The pauses before the retries when a driver refuses its device.
const REFUSED: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// Waits up to `limit` until no program has it open.
fn return_to_host(entry: &JournalEntry, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    let functions: Vec<_> = entry.devices.iter().map(|device| device.address).collect();
    while let Some(user) = nodes::user(&functions) {
        if Instant::now() >= until {
            return Err(Error::new(Kind::Failed, format!("{} is still open in {user}", entry.gpu))
                .hint(format!("stop that process, then {HOW_TO_RELEASE}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    transaction::release(&Root::system(), entry, &mut ChildWriter, &REFUSED)
        .map_err(|cause| Error::from(cause).hint(HOW_TO_RELEASE))
}

/// At the start of any command: returns the GPUs that a killed launch left bound. Without root, it returns
/// nothing to the host, and its sentences name the command that does. One sentence for each GPU.
pub fn recover() -> Vec<String> {
    let journal = Journal::new(&Root::system());
    let entries = journal.entries();
    let boot_id = if entries.is_empty() { String::new() } else { journal.boot_id() };
    let left = |entry: &JournalEntry| match (entry.standing(&boot_id), geteuid().is_root()) {
        (Standing::Held | Standing::Kept, _) | (Standing::Past, false) => None,
        (Standing::Past, true) => {
            // Its devices have their own drivers; only the file is left.
            let _ = journal.remove(entry.gpu);
            None
        }
        (Standing::Orphaned, true) => Some(match return_to_host(entry, KILLED_QEMUS_EXIT) {
            Ok(()) => format!("{} was returned to the host after a launch was killed", entry.gpu),
            Err(error) => error.to_string(),
        }),
        (Standing::Orphaned, false) => Some(format!(
            "{} is still bound to vfio-pci after a launch was killed; {HOW_TO_RELEASE}",
            entry.gpu
        )),
    };
    entries.iter().filter_map(left).collect()
}

#[cfg(test)]
#[path = "linux_texts.rs"]
mod texts;
