//! Windows: a launcher is started as any program. Console events are a unit test of their own (src/supervise/os): wine sends
//! none where it has no terminal.

use crate::example::example;
pub use crate::os::is_gone as has_ended;
use std::process::Command;

pub fn launcher() -> Command {
    Command::new(example("launch-fake"))
}

/// It needs none: no console event is sent.
pub fn set_group(_: &mut Command) {}
