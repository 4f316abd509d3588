//! What a session runs: the program, its environment and its folder, and what a user reads where it does not start.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::libc;

use super::account::Account;
use crate::protocol::request::{Bytes, Run};

/// The statuses of a program that is not there or that can't be started, as shells have them (POSIX, 2.8.2).
const NOT_FOUND: u8 = 127;
const CANNOT_RUN: u8 = 126;

pub enum Program {
    Shell,
    Command(Vec<u8>),
    /// This one, with an argument: file server, status.
    Own(&'static str),
    /// Without a shell, as the launcher asks for it.
    Run(Run),
}

impl Program {
    pub fn run(&self) -> Option<&Run> {
        if let Self::Run(run) = self { Some(run) } else { None }
    }

    /// The user's shell, as login(1) starts it, and what a user's client runs through it, as sshd does.
    pub fn command(&self, user: &Account) -> Command {
        let shell_name = user.shell.file_name().unwrap_or(OsStr::new("sh"));
        let mut command = Command::new(&user.shell);
        match self {
            Self::Shell => {
                let mut login = OsString::from("-");
                login.push(shell_name);
                command.arg0(login);
            }
            Self::Command(line) => {
                command.arg0(shell_name).arg("-c").arg(OsStr::from_bytes(line));
            }
            Self::Own(argument) => {
                // This very file, whether or not the user may enter the folder it lies in.
                command = Command::new("/proc/self/exe");
                command.arg0("ghostly-agent").arg(argument);
            }
            Self::Run(run) => {
                let mut words = run.words.iter().map(|word| OsStr::from_bytes(&word.0));
                let Some(first) = words.next() else { return Self::Shell.command(user) };
                command = Command::new(first);
                command.args(words);
            }
        }
        command
    }
}

/// The PATH where the image has no other, as Debian's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What every shell of the guest has in its environment: environment.d(5), as far as one file needs it.
const ENVIRONMENT: &str = "/etc/environment.d/50-virtualghost.conf";

/// The environment of every session, which the client's variables may add to.
pub fn environment(user: &Account) -> Vec<(String, OsString)> {
    let mut environment: Vec<(String, OsString)> = [
        ("PATH", DEFAULT_PATH.into()),
        ("HOME", user.home.clone().into()),
        ("USER", user.name.clone().into()),
        ("LOGNAME", user.name.clone().into()),
        ("SHELL", user.shell.clone().into()),
        // As in the terminal, unless the client sets another.
        ("LANG", "C.UTF-8".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let definitions = std::fs::read_to_string(ENVIRONMENT).unwrap_or_default();
    environment.extend(defined(&definitions, user.home.as_os_str()));
    let runtime = format!("/run/user/{}", user.uid);
    if Path::new(&runtime).is_dir() {
        environment.push(("XDG_RUNTIME_DIR".to_owned(), runtime.into()));
    }
    environment
}

/// The variables of such a file, with the home in the place of `$HOME`.
fn defined(text: &str, home: &OsStr) -> Vec<(String, OsString)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let definitions = lines.filter_map(|line| line.split_once('='));
    let expanded = |value: &str| {
        let mut parts = value.split("$HOME");
        let mut text = OsString::from(parts.next().unwrap_or_default());
        for part in parts {
            text.push(home);
            text.push(part);
        }
        text
    };
    definitions.map(|(name, value)| (name.trim().to_owned(), expanded(value.trim()))).collect()
}

/// What the launcher adds to the environment of a program.
pub fn variables(run: &Run) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    run.environment.iter().map(|(name, value)| (OsStr::from_bytes(&name.0), OsStr::from_bytes(&value.0)))
}

/// The folder that a program is to start in.
pub struct Folder {
    path: CString,
    refusal: Vec<u8>,
}

impl Folder {
    pub fn new(path: &Bytes) -> io::Result<Self> {
        let refusal = [b"can't enter the folder ", &path.0[..], b" in the VM\n"].concat();
        Ok(Self { path: CString::new(&path.0[..])?, refusal })
    }

    /// In a forked child, as the user. One that can't be entered ends the child with its own message: an error of the
    /// start would not tell the folder from the program.
    pub fn enter_in_child(&self) {
        // SAFETY: the path is NUL-terminated and the message has its length; all three may be called after a fork.
        unsafe {
            if libc::chdir(self.path.as_ptr()) != 0 {
                libc::write(2, self.refusal.as_ptr().cast(), self.refusal.len());
                libc::_exit(CANNOT_RUN.into());
            }
        }
    }
}

/// What a user reads, and the status, where a program did not start: as shells have it.
pub fn not_started(run: &Run, error: &io::Error) -> (String, u8) {
    let name = run.words.first().map(|word| String::from_utf8_lossy(&word.0)).unwrap_or_default();
    match error.kind() {
        io::ErrorKind::NotFound => (format!("{name}: there is no such program in the VM\n"), NOT_FOUND),
        _ => (format!("{name}: can't be run in the VM: {error}\n"), CANNOT_RUN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_definition_of_its_path_has_the_users_own_programs_in_front() {
        let text = include_str!("../../assets/guest/etc/environment.d/50-virtualghost.conf");
        let found = defined(text, OsStr::new("/home/ghost"));
        let [(name, value)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(name, "PATH");
        let value = value.to_str().unwrap();
        assert!(value.starts_with("/home/ghost/.local/bin:/usr/local/sbin:"), "{value}");
        assert!(!value.contains(['$', '"', ' ']), "{value}");
    }

    #[test]
    fn a_comment_defines_nothing_and_the_home_may_be_anywhere() {
        let found = defined("# A=1\nB=$HOME/x:$HOME\n\nC", OsStr::new("/h"));
        assert_eq!(found, [("B".to_owned(), "/h/x:/h".into())]);
    }
}
