//! The host's side of SSH: OpenSSH's own programs, which users know, told how to reach a VM. Connections go through
//! `virtualghost proxy NAME`, which finds the VM's agent wherever it listens now.
//!
//! Nothing of the user's own SSH configuration takes part: the programs read only the file given with `-F`.

pub mod config;
pub mod proxy;

#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;

pub use os::hand_over;

use crate::error::{Error, Kind, Result};
use crate::units::VmName;
use anyhow::anyhow;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a VM is called in OpenSSH's configuration.
pub fn alias(name: &VmName, root: bool) -> String {
    format!("vg-{name}{}", if root { "-root" } else { "" })
}

/// # Errors
/// OpenSSH's client is not installed.
pub fn check_client() -> Result<()> {
    let mut version = Command::new("ssh");
    version.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match version.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::new(Kind::Failed, "there is no OpenSSH client (`ssh`) on this machine")
            .hint(os::INSTALL_CLIENT)),
    }
}

/// `ssh` to a VM; what follows `--` is for the guest's shell, as with ssh itself.
pub fn ssh(config: &Path, name: &VmName, root: bool, terminal: bool, command: &[OsString]) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(config)
        .arg(if terminal { "-tt" } else { "-T" })
        .arg("--")
        .arg(alias(name, root))
        .args(command);
    ssh
}

/// The words of a command as one line for the guest's shell, which makes the same words of it again.
///
/// # Errors
/// A word holds a NUL.
pub fn shell_line(words: &[OsString]) -> Result<OsString> {
    let mut line = Vec::new();
    for word in words {
        let quoted = shlex::bytes::try_quote(word.as_encoded_bytes())
            .map_err(|_| Error::bad_input("a word of the command holds a NUL byte"))?;
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(&quoted);
    }
    // SAFETY: the bytes are those of OsStrs with ASCII added around and between whole words.
    Ok(unsafe { OsString::from_encoded_bytes_unchecked(line) })
}

/// One end of a copy: a path of the host's, or NAME:PATH in a VM.
#[derive(Debug, PartialEq, Eq)]
pub enum End<'a> {
    Host(&'a OsStr),
    Guest(VmName, &'a OsStr),
}

/// As scp reads it: what has a colon before any slash is elsewhere.
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

/// `scp -r` between the ends, the last of which is where to. Through the host where both are VMs.
pub fn scp(config: &Path, ends: &[End<'_>]) -> Command {
    let mut scp = Command::new("scp");
    scp.arg("-F").arg(config).args(["-r", "-p", "-3", "--"]);
    for end in ends {
        scp.arg(match end {
            // Never read as a host's name: scp looks for a colon before a slash.
            End::Host(path) if Path::new(path).is_relative() => Path::new(".").join(path).into_os_string(),
            End::Host(path) => (*path).to_owned(),
            End::Guest(name, path) => {
                let mut text = OsString::from(alias(name, false));
                text.push(":");
                text.push(path);
                text
            }
        });
    }
    scp
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn a_file_of_the_hosts_is_never_taken_for_another_host() {
        let scp = scp(Path::new("/c"), &[of("./a:b"), of("-x"), of("web:y")]);
        let args: Vec<_> = scp.get_args().skip(6).collect();
        let here = |path| Path::new(".").join(path).into_os_string();
        assert_eq!(args, [here("./a:b"), here("-x"), "vg-web:y".into()]);
    }

    proptest! {
        /// What a POSIX shell makes of the line, by shlex's own reading of one.
        #[test]
        fn a_command_arrives_word_by_word(words in proptest::collection::vec("[^\0]{0,12}", 1..5)) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            let line = shell_line(&words).unwrap().into_string().unwrap();
            let read: Vec<OsString> = shlex::split(&line).unwrap().into_iter().map(OsString::from).collect();
            prop_assert_eq!(read, words);
        }
    }
}
