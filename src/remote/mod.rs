//! The host's side of SSH: OpenSSH's own programs, which users know, with a configuration that reaches a VM. Connections go through
//! `virtualghost proxy NAME`, which finds the VM's agent wherever it listens now.
//!
//! Nothing of the user's own SSH configuration takes part: the programs read only the file given with `-F`.

pub mod config;
pub mod copy;
pub mod exec;
pub mod filter;
pub mod install;
pub mod proxy;
pub mod shown;

#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;

pub use os::hand_over;

use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::sys::dirs::home_of_ssh;
use crate::sys::printable::clean;
use anyhow::anyhow;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a VM is called in OpenSSH's configuration.
pub fn alias(name: &VmName, root: bool) -> String {
    format!("vg-{name}{}", if root { "-root" } else { "" })
}

/// # Errors
/// OpenSSH's client is not installed, or can't run for this user.
pub fn check_client() -> Result<()> {
    let mut version = Command::new("ssh");
    version.arg("-V").stdin(Stdio::null()).stdout(Stdio::null());
    match version.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(broken_client(&output.stderr, home_of_ssh().is_some())),
        Err(_) => Err(Error::new(Kind::Failed, "there is no OpenSSH client (`ssh`) on this machine")
            .hint(os::INSTALL_CLIENT)),
    }
}

/// ssh starts for nobody whom the user database does not know, as in a container with a user of another machine.
fn broken_client(messages: &[u8], has_entry: bool) -> Error {
    if !has_entry {
        return Error::new(
            Kind::Failed,
            "OpenSSH does not run for this user, who is not in the user database",
        )
        .hint(os::ADD_USER);
    }
    let message =
        messages.trim_ascii().split(|&byte| byte == b'\n').next_back().map(clean).unwrap_or_default();
    Error::new(Kind::Failed, format!("the OpenSSH client (`ssh`) does not run: {message}"))
        .hint(os::INSTALL_CLIENT)
}

/// Whether a session has a terminal in the guest. One has a price: it turns each line feed of the output into two
/// characters, and has one stream where there were two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    None,
    /// If there is one here too.
    IfHere,
    Forced,
}

impl Terminal {
    /// As ssh(1) has it: for a shell, and for a command only if that is asked for, twice to force it.
    pub fn wanted(count: u8, command: &[OsString]) -> Self {
        match count {
            0 if command.is_empty() && io::stdin().is_terminal() => Self::IfHere,
            0 => Self::None,
            1 => Self::IfHere,
            _ => Self::Forced,
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::None => "-T",
            Self::IfHere => "-t",
            Self::Forced => "-tt",
        }
    }
}

/// `ssh` to a VM; what follows `--` is for the guest's shell, as with ssh itself.
pub fn ssh(config: &Path, name: &VmName, root: bool, terminal: Terminal, command: &[OsString]) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-S", "none"]).arg(terminal.flag());
    ssh.arg("--").arg(alias(name, root)).args(command);
    ssh
}

/// One end of a copy: a path of the host's, or NAME:PATH in a VM.
#[derive(Debug, PartialEq, Eq)]
pub enum End<'a> {
    Host(&'a OsStr),
    Guest(VmName, &'a OsStr),
}

/// As scp(1) reads it: what has a colon before any slash is elsewhere.
pub fn end(text: &OsStr) -> Result<End<'_>> {
    let bytes = text.as_encoded_bytes();
    let Some(colon) = bytes.iter().position(|b| matches!(b, b':' | b'/')).filter(|&at| bytes[at] == b':')
    else {
        return Ok(End::Host(text));
    };
    let name = std::str::from_utf8(&bytes[..colon]).map_err(|_| anyhow!("the VM's name is no text"))?;
    let name = name.parse().map_err(|e| {
        Error::bad_input(format!("{}: {e}", text.display()))
            .hint(format!("for a file of this machine write ./{}", text.display()))
    })?;
    // SAFETY: split after an ASCII character.
    Ok(End::Guest(name, unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[colon + 1..]) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> End<'_> {
        end(OsStr::new(text)).unwrap()
    }

    #[test]
    fn a_colon_before_a_slash_names_a_vm() {
        assert_eq!(of("web:/etc/hosts"), End::Guest("web".parse().unwrap(), OsStr::new("/etc/hosts")));
        assert_eq!(of("web:"), End::Guest("web".parse().unwrap(), OsStr::new("")));
        assert_eq!(of("./web:x"), End::Host(OsStr::new("./web:x")));
        assert_eq!(of("plain"), End::Host(OsStr::new("plain")));
        let refusal = end(OsStr::new("My File: x")).unwrap_err().to_string();
        assert!(refusal.contains("./My File: x"), "{refusal}");
    }

    #[test]
    fn a_command_has_a_terminal_only_if_it_is_asked_for() {
        let ssh = |count| {
            let command = ["make".into()];
            let ssh = ssh(
                Path::new("/c"),
                &"web".parse().unwrap(),
                false,
                Terminal::wanted(count, &command),
                &command,
            );
            ssh.get_args().nth(4).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!([0, 1, 2, 3].map(ssh), ["-T", "-t", "-tt", "-tt"]);
    }
}

#[cfg(all(test, unix))]
mod texts;
