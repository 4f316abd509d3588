//! Supervision with real processes: a fake QEMU does what QEMU and a guest can do. No test asserts a time, except as a
//! generous limit against hanging.

mod endings;
mod example;
mod failures;
#[cfg(target_os = "linux")]
mod jail;
mod launcher;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
#[expect(dead_code, reason = "the fake launcher uses the rest")]
mod os;
mod scene;
#[cfg(target_os = "linux")]
#[path = "../skipped.rs"]
mod skipped;
