//! The session on the screen. Compositor and terminal each run under this program, which starts them again after a crash, and
//! gives the terminal what this start needs.
//!
//! ```text
//! virtualghost-session.service: start ─► ghostly-agent compositor ─► labwc ─► session ─► ghostly-agent terminal ─┐
//!                                                                 shell ◄─ foot or Ghostty ◄─ terminals/… ◄─────┘
//! ```

pub mod home;
mod keep;
mod keyboards;
mod prompt;
pub mod ready;
mod screen;
mod terminal;

use super::shares;
use super::status::{self, RUNTIME};
use crate::protocol::{CHECKPOINT, SAFE};
use keep::keep;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use terminal::Terminal;

/// The arguments that make this program run the compositor, and in it the terminal. Both return a status.
pub const COMPOSITOR: &str = "compositor";
pub const TERMINAL: &str = "terminal";

/// There once a guest from a checkpoint has its identity and its home.
pub const RESUMED: &str = "/run/virtualghost/resumed";
/// There if a guest from a checkpoint is to start without the home's start files.
pub const SAFE_START: &str = "/run/virtualghost/safe";

const LIBRARY: &str = "/usr/lib/virtualghost";
/// In the runtime folder. What the first shell prints; it is to be reported as the first one; what has to start again because
/// of what it reads from the home; the status with which the terminal ended.
const NOTICE: &str = "virtualghost-notice";
const FIRST_SHELL: &str = "virtualghost-shell";
const AGAIN: &str = "virtualghost-again";
const STATUS: &str = "virtualghost-status";

pub fn compositor() -> io::Result<i32> {
    loop {
        let status = keep("the compositor", || {
            // It would start the session's bus, which starts when it is first asked.
            let mut labwc = Command::new("labwc");
            labwc.env("LABWC_UPDATE_ACTIVATION_ENV", "no").arg("-C").arg(library("labwc")).arg("-S");
            labwc.arg(library("session"));
            Ok(labwc)
        })?;
        let status = take_status().unwrap_or(status);
        if !take_again(home::Reader::Compositor) {
            return Ok(status);
        }
    }
}

pub fn terminal() -> io::Result<i32> {
    // Without the compositor there is nothing to start again.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
    prompt::watch()?;
    loop {
        let status = keep("the terminal", terminal_command)?;
        if !take_again(home::Reader::Terminal) {
            fs::write(Path::new(RUNTIME).join(STATUS), status.to_string())?;
            return Ok(status);
        }
    }
}

/// The status with which the terminal ended: the compositor has another of its own.
fn take_status() -> Option<i32> {
    let path = Path::new(RUNTIME).join(STATUS);
    let status = fs::read_to_string(&path).ok()?.parse().ok();
    fs::remove_file(path).ok()?;
    status
}

fn take_again(reader: home::Reader) -> bool {
    let path = Path::new(RUNTIME).join(AGAIN);
    let is_ours = fs::read_to_string(&path).is_ok_and(|word| word.trim() == reader.word());
    is_ours && fs::remove_file(path).is_ok()
}

fn terminal_command() -> io::Result<Command> {
    let (at_checkpoint, safe) = (at_checkpoint(), has_parameter(SAFE) || Path::new(SAFE_START).exists());
    let own = || vec![library("terminal").to_string_lossy().into_owned()];
    let words = match wanted_terminal() {
        Terminal::Words(words) => words,
        Terminal::Own => own(),
        // It may be in the home, which is not there yet.
        Terminal::Missing(_) if at_checkpoint => own(),
        Terminal::Missing(wanted) => {
            tell(&format!("the terminal {wanted} is not in this VM; the one of the image runs instead"))?;
            own()
        }
    };
    let mut command = if at_checkpoint || safe {
        Command::new(&words[0])
    } else {
        // With what the user's login files set.
        let mut command = Command::new("sh");
        command.args(["-c", r#"eval "$("$0/login-environment")"; exec "$@""#, LIBRARY, &words[0]]);
        command
    };
    command.args(&words[1..]);
    if at_checkpoint {
        command.env("SHELL", library("checkpoint/bash"));
    } else if safe {
        // An empty home for whatever the terminal reads; the shell has the real one.
        let empty = Path::new(RUNTIME).join("virtualghost-safe");
        fs::create_dir_all(&empty)?;
        command.env("HOME", empty).env("SHELL", library("safe/bash")).env("VIRTUALGHOST_SAFE", "1");
    } else if let Some(missing) = missing_shell(&words[0]) {
        tell(&format!("{}; bash runs instead", missing.text()))?;
        command.env("VIRTUALGHOST_SHELL", "/bin/bash");
    }
    if let Some(workdir) = shares::workdir().filter(|_| !at_checkpoint) {
        command.current_dir(workdir);
    }
    Ok(command)
}

/// The terminal that the kernel's command line names, as far as this machine has it now.
fn wanted_terminal() -> Terminal {
    let (home, path) = home_and_path();
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    terminal::terminal(&cmdline, &library("terminals"), &home, &path)
}

/// Who has to start again in a guest from a checkpoint that has got its home: what reads files of it, or a terminal that is in
/// it.
pub fn reader(home: &Path) -> Option<home::Reader> {
    // Asked without the user's variables: in the image.
    let is_missing = || matches!(wanted_terminal(), Terminal::Missing(_));
    home::reader(home).or_else(|| is_missing().then_some(home::Reader::Terminal))
}

fn missing_shell(terminal: &str) -> Option<home::MissingShell> {
    let terminal = fs::canonicalize(terminal).ok()?;
    let (home, path) = home_and_path();
    home::missing_shell(terminal.file_name()?.to_str()?, &home, &path)
}

fn home_and_path() -> (PathBuf, OsString) {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    (variable("HOME").into(), variable("PATH"))
}

/// Tells the user, who looks at the window or at the launcher's terminal.
fn tell(message: &str) -> io::Result<()> {
    fs::write(Path::new(RUNTIME).join(NOTICE), format!("{message}\n"))?;
    status::report(["notice".to_owned(), message.to_owned()].into_iter())
}

fn at_checkpoint() -> bool {
    has_parameter(CHECKPOINT) && !Path::new(RESUMED).exists()
}

/// Whether the kernel's command line has this word.
fn has_parameter(word: &str) -> bool {
    fs::read_to_string("/proc/cmdline").unwrap_or_default().split_whitespace().any(|is| is == word)
}

fn library(name: &str) -> PathBuf {
    Path::new(LIBRARY).join(name)
}

/// Puts the command into a process group of its own, which can be ended as a whole.
fn in_own_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}
