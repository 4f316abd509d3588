//! Windows: the folders of a home, and errors of this system.

/// The variables that name the home, and the folders that they name.
pub const HOME: &[(&str, &str)] = &[("LOCALAPPDATA", "AppData\\Local"), ("APPDATA", "AppData\\Roaming")];
/// The variables that a program needs.
pub const PASSED: &[&str] = &["PATH", "SystemRoot"];
pub const CONFIG: &str = "AppData\\Roaming\\virtualghost\\config";
pub const CACHE: &str = "AppData\\Local\\virtualghost\\cache";
pub const VMS: &str = "AppData\\Local\\virtualghost\\data\\vms";

pub const DRY_RUN: &str = "a_dry_run_on_windows";

/// Removes what differs between runs: names of pipes contain the launcher's PID.
pub fn without_pid(text: &str) -> String {
    const PIPE: &str = "path=virtualghost-";
    let mut parts = text.split(PIPE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + PIPE + "PID" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

pub const REFUSED: &[(&[&str], &str)] = &[
    (&["--gpu", "ffff:1f:1f.7"], "VFIO"),
    (&["gpu", "bind", "ffff:1f:1f.7"], "VFIO"),
    (&["--accel", "kvm"], "WHPX"),
];
