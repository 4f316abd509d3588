//! macOS and Windows: the desktop is part of the system, and what OpenGL it offers QEMU is known.

use crate::doctor::{Finding, State};
use crate::host::{Availability, Session};
use std::path::Path;
use std::process::ExitCode;

pub fn screen(_: &Session, gl: &Availability) -> Vec<Finding> {
    vec![match gl.doubt() {
        None => Finding::new("opengl", State::Ok, "the guest uses the host's"),
        Some(because) => {
            Finding::new("opengl", State::Limited, format!("{because}; the guest renders in software"))
        }
    }]
}

/// There is no such mount.
pub fn is_noexec(_: &Path) -> bool {
    false
}

pub fn is_writable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.permissions().readonly())
}

/// Looking takes no process of its own here.
pub fn print_gl() -> ExitCode {
    ExitCode::FAILURE
}
