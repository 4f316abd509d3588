//! Unix: processes by number, channels by descriptor.

use std::ffi::OsString;
use virtualghost::qemu::{Agent, Channel, Channels};

/// What a crash without a word is called.
pub const CRASH: &str = "SIGABRT";

/// A variable that the system gives to every process.
pub fn is_added(_: &str) -> bool {
    false
}

/// The channels of a new QEMU, and the arguments that name them to the fake one.
pub fn channels() -> (Channels, Vec<OsString>) {
    let [console, control] = [3, 4].map(Channel::Descriptor);
    (Channels { console, control, agent: Agent::Loopback }, Vec::new())
}

/// As Ctrl-C does, of this process.
pub fn request_stop() {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
}

/// Not even as a zombie.
pub fn is_gone(pid: u32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), None).is_err()
}

/// How many files and the like this process has open.
pub fn open_handles() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

/// This process's, where it can be told.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
