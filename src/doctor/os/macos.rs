//! Checks on macOS: those of every system but Linux, and Gatekeeper's quarantine of a downloaded program.

#[path = "other.rs"]
mod other;

pub use other::{gl_in_jail, is_noexec, is_writable, print_gl, screen};

use crate::doctor::{Finding, State};
use nix::libc;
use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// macOS may refuse to start a program with the attribute com.apple.quarantine from the Finder, or after a change. (Programs
/// that this one unpacks do not inherit it.)
pub fn specific(_: &Path) -> Vec<Finding> {
    let Ok(path) = env::current_exe() else { return Vec::new() };
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return Vec::new() };
    // SAFETY: both names end in NUL, and without a buffer only the length is returned (getxattr(2)).
    let length =
        unsafe { libc::getxattr(name.as_ptr(), c"com.apple.quarantine".as_ptr(), ptr::null_mut(), 0, 0, 0) };
    if length < 0 {
        return Vec::new();
    }
    let path = path.display();
    vec![
        Finding::new("quarantine", State::Note, format!("{path} was downloaded, and is in quarantine"))
            .fix(format!("if macOS refuses to start it: xattr -d com.apple.quarantine '{path}'")),
    ]
}
