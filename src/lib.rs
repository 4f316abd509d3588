//! VirtualGhost: a terminal in its own virtual machine, as one executable.
//!
//! The modules are the stages of a launch, and data flows one way through them:
//!
//! ```text
//! cli ──► config ──► plan ──► assets ──► qemu ──► supervise
//!                     ▲
//!                   host
//! ```

pub mod app;
pub mod assets;
pub mod cli;
pub mod config;
pub mod error;
pub mod folders;
pub mod host;
pub mod instance;
pub mod launch;
pub mod parts;
pub mod plan;
pub mod qemu;
pub mod supervise;
pub mod units;
