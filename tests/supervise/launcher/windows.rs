//! Windows: console events.

use super::{launch_ready, said};
use crate::example::example;
pub use crate::os::is_gone as has_ended;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::Command;
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, FreeConsole, GenerateConsoleCtrlEvent,
};
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};

pub fn launcher() -> Command {
    Command::new(example("launch-fake"))
}

/// With a console of its own.
pub fn set_group(launcher: &mut Command) {
    launcher.creation_flags(CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
}

/// As if it were typed in the console of this process, but for its own group alone. (Ctrl-C can't be sent to a group.)
fn type_ctrl_break(pid: u32) {
    let checked = |done: i32| assert!(done != 0, "{}", io::Error::last_os_error());
    // SAFETY: numbers only.
    unsafe {
        // A process has one console at most, and this one may have none.
        FreeConsole();
        checked(AttachConsole(pid));
        checked(GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, pid));
        checked(FreeConsole());
    }
}

#[test]
fn ctrl_break_in_the_console_reaches_the_launcher_and_not_qemu() {
    let (launcher, qemu, _folder) = launch_ready(launcher());
    type_ctrl_break(launcher.id());
    assert_eq!(said(launcher), "Stopped { by: Signal, clean: true }\n");
    assert!(has_ended(qemu));
}
