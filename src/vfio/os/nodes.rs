//! VFIO's device nodes of some functions: whose they are, and who has them open.

use crate::units::PciAddress;
use crate::vfio::sysfs::{self, Root};
use nix::unistd::{Uid, User, chown};
use std::fs;

/// Whoever asked sudo gets the nodes; they are gone again with the binding.
pub fn grant(functions: &[PciAddress]) {
    let asker = std::env::var("SUDO_UID").ok().and_then(|id| id.parse().ok()).map(Uid::from_raw);
    let Some(Ok(Some(User { uid, gid, .. }))) = asker.map(User::from_uid) else { return };
    for node in functions.iter().flat_map(|&function| sysfs::nodes(&Root::system(), function)) {
        if let Err(e) = chown(&node, Some(uid), Some(gid)) {
            tracing::warn!("{} stays root's: {e}", node.display());
        }
    }
}

/// A process that has one of the nodes open: to take the driver away would be to wait for its end.
pub fn user(functions: &[PciAddress]) -> Option<u32> {
    let nodes: Vec<_> =
        functions.iter().flat_map(|&function| sysfs::nodes(&Root::system(), function)).collect();
    let has_open = |pid: u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| nodes.contains(&target))
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|&pid| has_open(pid))
}
