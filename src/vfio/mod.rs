//! Passes a physical GPU to a VM through VFIO, and returns it to the host whatever happens (Linux; kernel documentation,
//! driver-api/vfio). Owns the decision which GPUs are eligible, and the writes to sysfs. Must not know QEMU or the
//! configuration.
//!
//! ```text
//!            pure                                  effects (Linux)
//! sysfs ──► Facts ──► Eligibility ──► BindPlan ──► bind ──► [VM] ──► release
//!                     obstacles   writes        │                  ▲
//!                     and fixes                 └──► Journal ──────┘  next start, `gpu release`
//! ```
//!
//! The journal is on disk before the first write, so the next command after a crash knows each device's former driver. A
//! [`broker`](os) process does the writes for a launch; it runs as root, while the launcher and QEMU do not. It returns the
//! GPU when the launcher's end of a pipe is closed, which the kernel does however the launcher ends.

mod eligibility;
mod report;

#[cfg_attr(target_os = "linux", path = "os/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/unsupported.rs")]
pub mod os;

#[cfg(target_os = "linux")]
pub mod journal;
#[cfg(target_os = "linux")]
pub mod transaction;

pub use eligibility::{Eligibility, Obstacle, examine, locked_bytes};
pub use report::{json, table};

#[cfg(all(test, target_os = "linux"))]
mod tests;

#[cfg(all(test, unix))]
mod texts;
