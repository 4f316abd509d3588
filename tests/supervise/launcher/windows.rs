//! Windows: a launcher is started like any program. Console events have a unit test (src/sys): wine sends none without a
//! terminal.

use crate::example::example;
pub use crate::os::is_gone as has_ended;
use std::process::Command;

pub fn launcher() -> Command {
    Command::new(example("launch-fake"))
}

/// Not needed: no test sends a console event.
pub fn set_group(_: &mut Command) {}
