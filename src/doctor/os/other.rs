//! Checks on macOS and Windows: the desktop is part of the system, and its OpenGL for QEMU is known.

use crate::doctor::{Finding, State};
use crate::host::Availability;
use crate::jail::JailPolicy;
use crate::model::Session;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// There is no jail.
pub fn gl_in_jail(_: &JailPolicy, _: &[(OsString, OsString)]) -> Option<Finding> {
    None
}

pub fn screen(_: &Session, gl: &Availability) -> Vec<Finding> {
    vec![match gl.doubt() {
        None => Finding::new("opengl", State::Ok, "the guest uses the host's"),
        Some(because) => {
            Finding::new("opengl", State::Limited, format!("{because}; the guest renders in software"))
        }
    }]
}

/// These systems have no such mount option.
pub fn is_noexec(_: &Path) -> bool {
    false
}

pub fn is_writable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.permissions().readonly())
}

/// No test of OpenGL is needed on these systems.
pub fn print_gl() -> ExitCode {
    ExitCode::FAILURE
}
