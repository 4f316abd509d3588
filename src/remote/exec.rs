//! Programs in a VM, run without a shell by its agent. ssh is the transport: it has the streams or the terminal of this
//! process. Signals go another way, since ssh has none: each is a request of its own to the agent.
//!
//! ```text
//! this process ─► ssh (streams or terminal, exit status) ─► agent ─► program
//!       └─ signals ─► ssh (a request) ────────────────────────┘
//! ```

use super::shown::{self, Output};
use super::{Terminal, alias};
use crate::error::{Error, Kind, Result};
use crate::instance;
use crate::model::units::VmName;
use crate::protocol::request::{Bytes, REQUEST, REQUEST_VARIABLE, Request, Run};
use crate::sys::{ProcessId, StopHandle, StopSignal, process};
use anyhow::Context;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// A lost connection, as ssh(1) has it.
const LOST: u8 = 255;
/// So many signals that did not reach the program end the connection to it.
const MAX_UNHEARD: u32 = 3;

/// Where a program runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// OpenSSH's configuration of the VM.
    pub config: PathBuf,
    pub name: VmName,
    pub root: bool,
}

/// What to run.
#[derive(Debug)]
pub struct Program {
    /// With its arguments; the user's login shell if there are none.
    pub words: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    /// Relative to the user's home in the VM.
    pub folder: Option<OsString>,
    pub has_terminal: bool,
    pub has_input: bool,
    pub output: Output,
}

/// Runs the program with this process's streams, and gives it the signals that `stop` catches. Returns its exit status; 128
/// and the number of the signal that killed it.
///
/// # Errors
/// ssh can't be started.
pub fn run(place: &Place, program: &Program, stop: &StopHandle) -> Result<u8> {
    let id = instance::entropy();
    let request = Request::Run(Run {
        id: id.clone(),
        words: program.words.iter().map(|word| bytes(word)).collect(),
        environment: program.environment.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
        folder: program.folder.as_deref().map(bytes),
    });
    let terminal = if program.has_terminal { Terminal::Forced } else { Terminal::None };
    let mut ssh = ssh(place, terminal, &request);
    if !program.has_input {
        ssh.stdin(Stdio::null());
    }
    let (sender, signals) = channel();
    let last = Arc::new(AtomicU32::new(0));
    let passed_on = last.clone();
    let _diverted = stop.divert(move |signal| {
        passed_on.store(signal.status().into(), Ordering::Relaxed);
        sender.send(signal).is_ok()
    });
    process::die_with_launcher(&mut ssh).context("can't start ssh")?;
    let shown = shown::spawn(&mut ssh, program.output).context("can't start ssh")?;
    let _guard = process::Guard::new(&shown.child).context("can't watch ssh")?;
    let connection = ProcessId::of(shown.child.id());
    let place = place.clone();
    std::thread::spawn(move || pass_on(&signals, &place, &id, connection));
    let status = shown.wait()?;
    let ended = status.code().and_then(|code| u8::try_from(code).ok());
    // ssh itself was killed: by us, for a signal that the program could not be given.
    let killed = || match last.load(Ordering::Relaxed) {
        0 => LOST,
        status => status as u8,
    };
    Ok(ended.unwrap_or_else(killed))
}

/// `ssh` with a request. It ignores the signals that are passed on in another way, so that it brings what the program does
/// about them.
pub(super) fn ssh(place: &Place, terminal: Terminal, request: &Request) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&place.config).args(["-S", "none"]).arg(terminal.flag());
    ssh.arg("-o").arg(format!("SendEnv={REQUEST_VARIABLE}*")).envs(request.variables());
    ssh.arg("-s").arg("--").arg(alias(&place.name, place.root)).arg(REQUEST);
    process::ignore_passed_on_signals(&mut ssh);
    ssh
}

/// Sends each signal to the program. One that is not heard of (the VM is still booting, or does not react) ends the
/// connection if it goes on like that; its end then ends the program.
fn pass_on(signals: &Receiver<StopSignal>, place: &Place, id: &str, connection: Option<ProcessId>) {
    let mut unheard = 0;
    while let Ok(signal) = signals.recv() {
        let request = Request::Signal { id: id.to_owned(), signal: signal.name().to_owned() };
        let mut ssh = ssh(place, Terminal::None, &request);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let heard = ssh.status().is_ok_and(|status| status.success());
        unheard = if heard { 0 } else { unheard + 1 };
        if unheard >= MAX_UNHEARD
            && let Some(connection) = connection
        {
            let _ = connection.kill();
        }
    }
}

fn bytes(text: &OsStr) -> Bytes {
    Bytes(text.as_encoded_bytes().to_vec())
}

/// `NAME=VALUE`, or `NAME` for this process's value, if it has one.
///
/// # Errors
/// There is no name.
pub fn variable(text: &OsStr) -> Result<Option<(OsString, OsString)>> {
    let bytes = text.as_encoded_bytes();
    let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) => {
            // SAFETY: split before an ASCII character.
            let name = unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[..at]) };
            // SAFETY: split after an ASCII character.
            (name, Some(unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[at + 1..]) }))
        }
        None => (text, None),
    };
    if name.is_empty() {
        return Err(Error::new(
            Kind::BadInput,
            format!("{:?} names no variable", text.display().to_string()),
        )
        .hint("write NAME=VALUE, or NAME for the value that it has here"));
    }
    let value = value.map(OsStr::to_owned).or_else(|| std::env::var_os(name));
    Ok(value.map(|value| (name.to_owned(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_value_or_that_of_this_process() {
        let of = |text: &str| variable(OsStr::new(text)).unwrap();
        assert_eq!(of("A=b=c"), Some(("A".into(), "b=c".into())));
        assert_eq!(of("A="), Some(("A".into(), "".into())));
        assert_eq!(of("PATH"), Some(("PATH".into(), std::env::var_os("PATH").unwrap())));
        assert_eq!(of("VIRTUALGHOST_NO_SUCH_VARIABLE"), None);
        assert!(variable(OsStr::new("=x")).is_err());
    }

    #[test]
    fn what_is_run_and_its_environment_are_not_on_a_command_line() {
        let place = Place { config: "/c".into(), name: "web".parse().unwrap(), root: false };
        let run = Run {
            id: "id".to_owned(),
            words: vec![bytes(OsStr::new("deploy"))],
            environment: vec![(bytes(OsStr::new("TOKEN")), bytes(OsStr::new("secret")))],
            folder: None,
        };
        let ssh = ssh(&place, Terminal::None, &Request::Run(run));
        let words: Vec<_> = ssh.get_args().map(|word| word.to_str().unwrap()).collect();
        let expected = "-F /c -S none -T -o SendEnv=VIRTUALGHOST_REQUEST_* -s -- vg-web request";
        assert_eq!(words.join(" "), expected);
    }
}
