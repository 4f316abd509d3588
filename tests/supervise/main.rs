//! Supervision with real processes: a fake QEMU plays what QEMU and a guest can do to the launcher.
//! No test asserts a time but as a generous upper bound against hanging.

mod endings;
mod example;
mod failures;
mod launcher;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
#[expect(dead_code, reason = "the fake launcher uses the rest")]
mod os;
mod scene;
