//! Checks on Windows: those of every system but Linux.

#[path = "other.rs"]
mod other;

pub use other::{gl_in_jail, is_noexec, is_writable, print_gl, screen};

use crate::doctor::Finding;
use std::path::Path;

pub fn specific(_: &Path) -> Vec<Finding> {
    Vec::new()
}
