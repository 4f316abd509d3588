//! Supervision with real processes: a fake QEMU plays what QEMU and a guest can do to the launcher.
//! No test asserts a time but as a generous upper bound against hanging.

mod endings;
mod failures;
mod launcher;
mod scene;
