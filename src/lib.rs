//! VirtualGhost: a terminal in its own virtual machine, as one executable.
//!
//! Data flows one way through the stages of a launch; ARCHITECTURE.md has the layers of all modules:
//!
//! ```text
//! cli ──► config ──► plan ──► payload ──► qemu ──► supervise
//!                     ▲
//!                   host
//! ```
//!
//! Besides, there are the running VMs (`instance`) and the connections to them (`remote`).

// The agent is excepted: it prints to its own log, and calls C functions that belong together. Print macros panic if the
// stream is closed; `sys::output` does not. Tests may panic.
#![cfg_attr(all(feature = "launcher", not(feature = "agent")), warn(clippy::multiple_unsafe_ops_per_block))]
#![cfg_attr(
    all(feature = "launcher", not(feature = "agent"), not(test)),
    warn(clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(feature = "launcher")]
pub mod checkpoint;
#[cfg(feature = "launcher")]
pub mod cli;
#[cfg(feature = "launcher")]
pub mod config;
#[cfg(feature = "launcher")]
pub mod doctor;
#[cfg(feature = "launcher")]
pub mod error;
#[cfg(feature = "launcher")]
pub mod failpoints;
#[cfg(feature = "launcher")]
pub mod host;
#[cfg(feature = "launcher")]
pub mod instance;
#[cfg(feature = "launcher")]
pub mod jail;
#[cfg(feature = "launcher")]
pub mod launch;
#[cfg(feature = "launcher")]
pub mod model;
#[cfg(feature = "launcher")]
pub mod net;
#[cfg(feature = "launcher")]
pub mod payload;
#[cfg(feature = "launcher")]
pub mod plan;
pub mod protocol;
#[cfg(feature = "launcher")]
pub mod qemu;
#[cfg(feature = "launcher")]
pub mod remote;
#[cfg(feature = "launcher")]
pub mod share;
#[cfg(feature = "launcher")]
pub mod supervise;
#[cfg(feature = "launcher")]
pub mod sys;
#[cfg(any(feature = "launcher", feature = "agent"))]
pub mod tree;
#[cfg(feature = "launcher")]
pub mod vfio;

/// The SSH server in the guest.
#[cfg(all(feature = "agent", target_os = "linux"))]
pub mod agent;

#[cfg(all(test, feature = "launcher"))]
mod testing;
