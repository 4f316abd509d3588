//! VirtualGhost: a terminal in its own virtual machine, as one executable.
//!
//! The modules are the stages of a launch, and data flows one way through them:
//!
//! ```text
//! cli ──► config ──► plan ──► assets ──► qemu ──► supervise
//!                     ▲
//!                   host
//! ```
//!
//! Beside it stand the VMs that run (`instance`), and the ways into them (`remote`).

#[cfg(feature = "launcher")]
pub mod app;
#[cfg(feature = "launcher")]
pub mod arch;
#[cfg(feature = "launcher")]
pub mod assets;
#[cfg(feature = "launcher")]
pub mod checkpoint;
#[cfg(feature = "launcher")]
pub mod cli;
#[cfg(feature = "launcher")]
pub mod config;
#[cfg(feature = "launcher")]
pub mod detach;
#[cfg(feature = "launcher")]
pub mod doctor;
#[cfg(feature = "launcher")]
pub mod error;
#[cfg(feature = "launcher")]
pub mod fault;
#[cfg(feature = "launcher")]
pub mod folders;
#[cfg(feature = "launcher")]
pub mod host;
#[cfg(feature = "launcher")]
pub mod instance;
#[cfg(feature = "launcher")]
pub mod launch;
#[cfg(feature = "launcher")]
pub mod learnt;
#[cfg(feature = "launcher")]
pub mod parts;
#[cfg(feature = "launcher")]
pub mod plan;
#[cfg(feature = "launcher")]
pub mod qemu;
#[cfg(feature = "launcher")]
pub mod remote;
#[cfg(feature = "launcher")]
pub mod supervise;
#[cfg(feature = "launcher")]
pub mod units;

#[cfg(feature = "launcher")]
pub mod vfio;

/// The SSH server in the guest.
#[cfg(all(feature = "agent", target_os = "linux"))]
pub mod agent;
