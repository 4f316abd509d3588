//! Linux: Landlock or namespaces, and seccomp(2). Everything is made in this process, and the new process takes it on before
//! exec. It needs that the process can't get new privileges, and sees to it.

mod landlock;
mod namespaces;
mod seccomp;

use crate::jail::JailPolicy;
use crate::model::Enforcement;
use crate::sys::process;
use crate::sys::time_limit::within;
use anyhow::{Context, Result};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For the compositor to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

impl JailPolicy {
    /// Lets `command` start in the jail.
    ///
    /// # Errors
    /// The kernel refuses the rules.
    pub fn confine(&self, command: &mut Command) -> Result<()> {
        let cannot = "can't make the jail";
        let mut enter: Box<dyn FnMut() -> io::Result<()> + Send + Sync> = match self.enforcement {
            Enforcement::Landlock => {
                let mut ruleset = Some(landlock::ruleset(self).context(cannot)?);
                Box::new(move || {
                    let ruleset = ruleset.take().expect("a process is confined once");
                    landlock::enter(ruleset).map_err(|_| io::Error::last_os_error())
                })
            }
            Enforcement::Namespaces => {
                let root = namespaces::Root::new(self).context(cannot)?;
                Box::new(move || root.enter())
            }
        };
        let filter = seccomp::program(self).context(cannot)?;
        let wayland = self.wayland.as_deref().and_then(|socket| connection(socket, command));
        let confine = move || {
            let _until_exec = &wayland;
            enter()?;
            seccompiler::apply_filter(&filter).map_err(|_| io::Error::last_os_error())
        };
        // SAFETY: between fork and exec, `confine` makes system calls, and allocates nothing.
        unsafe { command.pre_exec(confine) };
        Ok(())
    }
}

/// A connection to the compositor for `command`, to be kept until it has started (wl_display_connect(3)). Without one, the
/// window fails to open, and its fallback follows.
fn connection(socket: &Path, command: &mut Command) -> Option<OwnedFd> {
    let path = socket.to_owned();
    let connected = within(CONNECT, || UnixStream::connect(path).map_err(|e| e.to_string()));
    let shared = connected.and_then(|stream| {
        process::share(&File::from(OwnedFd::from(stream)), command).map_err(|e| e.to_string())
    });
    match shared {
        Ok(connection) => {
            command.env("WAYLAND_SOCKET", connection.as_raw_fd().to_string());
            Some(connection)
        }
        Err(e) => {
            tracing::debug!("can't connect to {}: {e}", socket.display());
            None
        }
    }
}
