use std::os::windows::process::CommandExt;
use std::process::Command;
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS};

/// No console: no Ctrl-C and no closed window of this one reaches it.
pub fn leave_terminal(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}
