//! macOS: no signal comes when a parent dies, so a shell waits beside QEMU for the launcher's end.

pub use super::unix::{Ends, Links, exit, is_crash, on_stop_request, share, signal_name, terminate};

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Nothing: [`Guard`] does.
pub fn die_with_launcher(_: &mut Command) -> io::Result<()> {
    Ok(())
}

/// A shell that reads from a pipe which only the launcher can write to. Nothing is ever written, so it
/// reads the end of the pipe when the launcher has died, and kills QEMU. In a process group of its own:
/// Ctrl-C must not end it.
pub struct Guard(Child);

impl Guard {
    pub fn new(qemu: &Child) -> io::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL \"$1\"", "sh", &qemu.id().to_string()])
            .env_clear()
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before its pipe closes. QEMU is not reaped yet or not long ago, so its number is nobody else's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
