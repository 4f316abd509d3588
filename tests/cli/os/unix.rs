//! Unix: where a home's folders are, and what only this system refuses so.

/// What names the home, and the folders in it that are named.
pub const HOME: &[(&str, &str)] = &[("HOME", "")];
/// What a program needs of the environment.
pub const PASSED: &[&str] = &["PATH"];
pub const CONFIG: &str = ".config/virtualghost";
pub const CACHE: &str = ".cache";

pub const DRY_RUN: &str = "a_dry_run_prints_the_plan_and_the_command_line_and_makes_nothing";

/// What is the same at every run.
pub fn without_pid(text: &str) -> String {
    text.to_owned()
}

pub const REFUSED: &[(&[&str], &str)] = &[
    (&["--gpu", "ffff:1f:1f.7"], "there is no GPU at ffff:1f:1f.7"),
    (&["gpu", "bind", "ffff:1f:1f.7"], "there is no GPU at ffff:1f:1f.7"),
    (&["--accel", "hvf"], "on Linux it is KVM"),
];
