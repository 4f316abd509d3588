//! Windows: console events, which go to a process group.

use super::{launch_ready, said};
use crate::example::example;
pub use crate::os::is_gone as has_ended;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::Command;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;

pub fn launcher() -> Command {
    Command::new(example("launch-fake"))
}

pub fn set_group(launcher: &mut Command) {
    launcher.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

#[test]
fn ctrl_break_in_the_console_reaches_the_launcher_and_not_qemu() {
    let (launcher, qemu, _folder) = launch_ready(launcher());
    // SAFETY: numbers only.
    let sent = unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, launcher.id()) };
    assert!(sent != 0, "{}", io::Error::last_os_error());
    assert_eq!(said(launcher), "Stopped { by: Signal, clean: true }\n");
    assert!(has_ended(qemu));
}
