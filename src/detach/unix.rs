use std::os::unix::process::CommandExt;
use std::process::Command;

/// A session of its own (setsid(2)): no Ctrl-C and no hang-up of this terminal reaches it.
pub fn leave_terminal(command: &mut Command) {
    let leave = || {
        nix::unistd::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec, `leave` makes one system call and allocates nothing.
    unsafe { command.pre_exec(leave) };
}
