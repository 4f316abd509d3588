//! Folders of the host in a VM: which ones are shared (`find`), and the server of each (`os`), a process of its own that reads
//! what the guest sends. It is confined to its folder before it reads the first request.
//!
//! ```text
//! guest's kernel ⇄ virtio-fs, in the guest's memory ⇄ server ⇄ folder
//!                    QEMU passes it on once, by a socket (vhost-user)
//! ```

pub mod copy;
mod find;
#[cfg_attr(target_os = "linux", path = "os/linux/mod.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/other.rs")]
mod os;
mod triggers;

pub use find::{Found, Protected, find};
pub use os::{Servers, role};
pub use triggers::Watched;

use crate::protocol::HostMessage;

/// What has happened to a server: a message for the guest, and a sentence for the user.
pub struct Report {
    pub message: HostMessage,
    pub notice: Option<String>,
}

/// At most so many folders: those of a VM that resumes a checkpoint are functions of one PCI slot.
pub const MOST: usize = 8;
