//! Handing a physical GPU to a VM through VFIO, and giving it back whatever happens (Linux; kernel documentation,
//! driver-api/vfio). Owns what sysfs tells of the PCI and USB buses, who may be handed over, and the writes that do it.
//! Must not know QEMU or the configuration.
//!
//! ```text
//!            pure                                  effects (Linux)
//! sysfs ──► Facts ──► Verdict ──► Handover ──► bind ──► [VM] ──► release
//!                     obstacles   writes        │                  ▲
//!                     and fixes                 └──► Journal ──────┘  next start, `gpu release`
//! ```
//!
//! The journal is on disk before the first write, so whoever comes after a crash knows each device's former driver.
//! A launch doesn't do the writes itself: a [`keeper`](os) does, which may be root while the launcher and QEMU are not.
//! It gives the GPU back when the launcher's end of a pipe closes, which the kernel sees to however the launcher dies.

mod facts;
mod handover;
mod list;
mod parse;
mod verdict;

#[cfg_attr(target_os = "linux", path = "os/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/none.rs")]
pub mod os;

#[cfg(target_os = "linux")]
pub mod journal;
#[cfg(target_os = "linux")]
pub mod sysfs;
#[cfg(target_os = "linux")]
pub mod transaction;

pub use facts::{Class, Cpu, Facts, Function, Memlock, Node, Privilege, UsbDevice, Use};
pub use handover::{Binding, Device, Handover, Write};
pub use list::{json, table};
pub use parse::{Mount, bars, mounts, pci_name};
pub use verdict::{Obstacle, Verdict, examine, locked_bytes};

/// The driver that makes a device VFIO's.
pub const VFIO_PCI: &str = "vfio-pci";

#[cfg(all(test, target_os = "linux"))]
mod tests;
