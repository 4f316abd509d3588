//! Windows: what all but Linux have.

#[path = "other.rs"]
mod other;

pub use other::{is_noexec, is_writable, print_gl, screen};

use crate::doctor::Finding;
use std::path::Path;

pub fn peculiarities(_: &Path) -> Vec<Finding> {
    Vec::new()
}
