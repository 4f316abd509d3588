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

const LAUNCHER: &str = "VIRTUALGHOST_TEST_LAUNCHER";

/// As if it were typed in the launcher's console, but for the launcher's group alone. (Ctrl-C can't be sent to a group.)
#[test]
#[ignore = "a part of the next, in a process of its own: a console takes over the streams of who is attached to it"]
fn types_ctrl_break() {
    let pid = std::env::var(LAUNCHER).unwrap().parse().unwrap();
    let checked = |done: i32| assert!(done != 0, "{}", io::Error::last_os_error());
    // SAFETY: numbers only.
    unsafe {
        // A process has one console at most, and this one may have none.
        FreeConsole();
        checked(AttachConsole(pid));
        checked(GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, pid));
    }
    std::process::exit(0);
}

#[test]
fn ctrl_break_in_the_console_reaches_the_launcher_and_not_qemu() {
    let (launcher, qemu, _folder) = launch_ready(launcher());
    let typed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "launcher::os::types_ctrl_break"])
        .env(LAUNCHER, launcher.id().to_string())
        .status()
        .unwrap();
    assert!(typed.success());
    assert_eq!(said(launcher), "Stopped { by: Signal, clean: true }\n");
    assert!(has_ended(qemu));
}
