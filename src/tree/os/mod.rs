//! A folder as the place of a copy: one file for each system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Folder, finish, name_of, name_of_target, os_bytes};
#[cfg(windows)]
pub use windows::{Folder, finish, name_of, name_of_target, os_bytes};
