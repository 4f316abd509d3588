//! Unix: the folders of a home, and errors of this system.

/// The variables that name the home, and the folders that they name.
pub const HOME: &[(&str, &str)] = &[("HOME", "")];
/// The variables that a program needs.
pub const PASSED: &[&str] = &["PATH"];
pub const CONFIG: &str = ".config/virtualghost";
pub const CACHE: &str = ".cache";
pub const VMS: &str = ".local/state/virtualghost/vms";

pub const DRY_RUN: &str = "a_dry_run_prints_the_plan_and_the_command_line";

/// Removes what differs between runs: nothing on Unix.
pub fn without_pid(text: &str) -> String {
    text.to_owned()
}

pub const REFUSED: &[(&[&str], &str)] = &[
    (&["--gpu", "ffff:1f:1f.7"], "ffff:1f:1f.7"),
    (&["gpu", "bind", "ffff:1f:1f.7"], "ffff:1f:1f.7"),
    (&["--accel", "hvf"], "KVM"),
];
