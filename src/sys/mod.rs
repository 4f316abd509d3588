//! The operating system, below everything else: locations of files, private files, locks, processes, stop requests, sparse
//! files. Must not know VMs, QEMU or the configuration.
//!
//! A module here is what the program calls; the file of each OS (`linux.rs`, `macos.rs`, `windows`; `unix.rs` is what the
//! first two share) is what a port replaces, and is read from top to bottom.

#[cfg(unix)]
pub mod descriptors;
pub mod dirs;
pub mod files;
#[cfg(target_os = "linux")]
pub mod landlock;
pub mod lock;
#[cfg(target_os = "linux")]
pub mod namespaces;
#[cfg(not(target_os = "macos"))]
mod no_guard;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod os;
pub mod output;
pub mod printable;
pub mod process;
pub mod signals;
#[cfg(unix)]
pub mod sockets;
#[cfg_attr(unix, path = "sparse/unix.rs")]
#[cfg_attr(windows, path = "sparse/windows.rs")]
pub mod sparse;
pub mod time_limit;
#[cfg(unix)]
mod unix;

pub use dirs::Dirs;
pub use lock::FileLock;
pub use os::{HOME, PASSES_DESCRIPTORS, start_writeback};
pub use process::ProcessId;
pub use signals::{StopHandle, StopSignal};
#[cfg(unix)]
pub use unix::role_command;

#[cfg(all(test, unix))]
mod texts;
