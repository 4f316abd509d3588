//! macOS: what all but Linux have, and Gatekeeper's mark on a downloaded program.

#[path = "other.rs"]
mod other;

pub use other::{is_noexec, is_writable, print_gl, screen};

use crate::doctor::{Finding, State};
use nix::libc;
use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// A program with the attribute com.apple.quarantine may be refused when it is started from the Finder, or after a change.
/// (Programs that this one unpacks don't inherit it.)
pub fn peculiarities(_: &Path) -> Vec<Finding> {
    let Ok(path) = env::current_exe() else { return Vec::new() };
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return Vec::new() };
    // SAFETY: both names end in NUL, and without a buffer only the length is asked for (getxattr(2)).
    let length =
        unsafe { libc::getxattr(name.as_ptr(), c"com.apple.quarantine".as_ptr(), ptr::null_mut(), 0, 0, 0) };
    if length < 0 {
        return Vec::new();
    }
    let path = path.display();
    vec![
        Finding::new(
            "quarantine",
            State::Note,
            format!("{path} was downloaded, and macOS has it in quarantine"),
        )
        .fix(format!("if it is refused: xattr -d com.apple.quarantine '{path}'")),
    ]
}
