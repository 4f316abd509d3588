//! Windows: where a home's folders are, and what only this system refuses so.

/// What names the home, and the folders in it that are named.
pub const HOME: &[(&str, &str)] = &[("LOCALAPPDATA", "AppData\\Local"), ("APPDATA", "AppData\\Roaming")];
/// What a program needs of the environment.
pub const PASSED: &[&str] = &["PATH", "SystemRoot"];
pub const CONFIG: &str = "AppData\\Roaming\\virtualghost\\config";
pub const CACHE: &str = "AppData\\Local\\virtualghost\\cache";

pub const DRY_RUN: &str = "a_dry_run_on_windows";

pub const REFUSED: &[(&[&str], &str)] = &[
    (&["--gpu", "ffff:1f:1f.7"], "passthrough needs Linux (VFIO)"),
    (&["gpu", "bind", "ffff:1f:1f.7"], "GPU passthrough needs Linux (VFIO)"),
    (&["--accel", "kvm"], "on Windows it is WHPX"),
];
