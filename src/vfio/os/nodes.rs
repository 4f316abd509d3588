//! VFIO's device nodes: their owner, and the processes that have them open.

use crate::host::pci::sysfs::{self, Root};
use crate::model::units::PciAddress;
use nix::unistd::{Uid, User, chown};
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// Makes the user who called sudo the owner of the nodes, which the kernel removes when the functions are released.
pub fn grant(functions: &[PciAddress]) {
    let asker = std::env::var("SUDO_UID").ok().and_then(|id| id.parse().ok()).map(Uid::from_raw);
    let Some(Ok(Some(User { uid, gid, .. }))) = asker.map(User::from_uid) else { return };
    for node in functions.iter().flat_map(|&function| sysfs::nodes(&Root::system(), function)) {
        if let Err(e) = chown(&node, Some(uid), Some(gid)) {
            tracing::warn!("{} still belongs to root: {e}", node.display());
        }
    }
}

/// The process that has one of the nodes open. Unbinding the driver would wait for its end, and until then the kernel
/// allows no other driver for the functions of the group.
pub fn user(functions: &[PciAddress]) -> Option<UsedBy> {
    let nodes: Vec<_> =
        functions.iter().flat_map(|&function| sysfs::nodes(&Root::system(), function)).collect();
    let has_open = |pid: u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| nodes.contains(&target))
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process =
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|&pid| has_open(pid));
    process.map(UsedBy::Process).or_else(|| nodes.iter().any(|node| is_held(node)).then_some(UsedBy::Ending))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedBy {
    Process(u32),
    /// A process that is exiting: it has no descriptors any more, but the kernel has not closed its files yet.
    Ending,
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Ending => f.write_str("a process that is exiting"),
        }
    }
}

/// A group can be opened once (the kernel's drivers/vfio/group.c: EBUSY).
fn is_held(node: &Path) -> bool {
    File::options().read(true).write(true).open(node).is_err_and(|e| e.kind() == ErrorKind::ResourceBusy)
}
