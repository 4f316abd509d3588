//! Unix: processes by number, channels by descriptor.

use std::ffi::OsString;
use virtualghost::qemu::{Agent, Channel, Channels, KeySource};

/// The signal of an abort.
pub const CRASH: &str = "SIGABRT";

/// Whether the system adds this variable to every process.
pub fn is_added(_: &str) -> bool {
    false
}

/// The channels of a new QEMU, and the arguments that name them to the fake one.
pub fn channels() -> (Channels, Vec<OsString>) {
    let [console, control] = [3, 4].map(Channel::Descriptor);
    (
        Channels {
            console,
            control,
            network: None,
            agent: Agent::Loopback,
            keys: KeySource::Descriptors(5),
            keyboard: None,
            shares: None,
        },
        Vec::new(),
    )
}

/// Requests a stop of this process, like Ctrl-C.
pub fn request_stop() {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
}

/// Whether the process has ended and was reaped.
pub fn is_gone(pid: u32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), None).is_err()
}

/// The number of this process's open descriptors.
pub fn open_handles() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

/// The number of this process's threads; 0 if it is unknown.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
