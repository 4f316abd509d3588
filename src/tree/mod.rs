//! Trees of files as a stream, for copies between the host and a VM: the same code reads and writes on both sides. The format
//! is tar. Must not know VMs and connections.
//!
//! ```text
//! paths ─► pack ─► tar ─► unpack ─► below one folder
//! ```
//!
//! The sender is not trusted. What arrives is written below the target folder and nowhere else: each step of a name is opened
//! relative to the step before it, and no step through a link. Links are made as they are and never followed. A file that
//! is there already is replaced, not written to, so that a link in its place does not lead elsewhere.

mod os;
mod pack;
mod unpack;

pub use os::{Folder, finish};
pub use pack::pack;
pub use unpack::{Target, unpack};

use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many folders may be inside each other; each is an open file while it is copied.
const MAX_DEPTH: usize = 500;
/// The longest name of an entry and the longest target of a link, in bytes.
const MAX_NAME: u64 = 64 << 10;

/// What is read and written at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What a file is, for a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    /// A device, a socket, a pipe.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub kind: Kind,
    pub mode: u32,
    pub modified: SystemTime,
    /// Of content, mode or names, which no program can set (inode(7), ctime); on Windows of the content alone.
    pub changed: SystemTime,
    pub size: u64,
}

/// Called during a copy.
pub trait Observer {
    /// Something was not copied; the rest is.
    fn problem(&mut self, path: &Path, because: &dyn Display);
    /// So many bytes of a file's content were copied.
    fn progress(&mut self, path: &Path, bytes: u64);
}

/// Seconds and nanoseconds since 1970; earlier times become that.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(all(test, unix))]
mod tests;
