//! Windows: where a home's folders are, and what only this system refuses so.

/// What names the home, and the folders in it that are named.
pub const HOME: &[(&str, &str)] = &[("LOCALAPPDATA", "AppData\\Local"), ("APPDATA", "AppData\\Roaming")];
/// What a program needs of the environment.
pub const PASSED: &[&str] = &["PATH", "SystemRoot"];
pub const CONFIG: &str = "AppData\\Roaming\\virtualghost\\config";
pub const CACHE: &str = "AppData\\Local\\virtualghost\\cache";

pub const DRY_RUN: &str = "a_dry_run_on_windows";

/// What is the same at every run: the pipes' names hold the launcher's number.
pub fn without_pid(text: &str) -> String {
    const PIPE: &str = "path=virtualghost-";
    let mut parts = text.split(PIPE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts
        .fold(first, |text, part| text + PIPE + "PID" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

pub const REFUSED: &[(&[&str], &str)] = &[
    (&["--gpu", "ffff:1f:1f.7"], "passthrough needs Linux (VFIO)"),
    (&["gpu", "bind", "ffff:1f:1f.7"], "GPU passthrough needs Linux (VFIO)"),
    (&["--accel", "kvm"], "on Windows it is WHPX"),
];
