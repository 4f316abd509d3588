//! Linux: the PCI bus from sysfs, and the privileges of this process.

use super::sysfs::{self, Process, Root};
use super::{Memlock, PciFacts, Privilege};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::geteuid;
use std::fs;
use std::path::PathBuf;

/// Only reads.
pub fn probe() -> PciFacts {
    sysfs::facts(&Root::system(), Process { memlock: memlock(), privilege: privilege() })
}

pub fn privilege() -> Privilege {
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
