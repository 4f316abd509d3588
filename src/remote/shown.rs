//! Runs ssh with what it prints filtered, where that goes to a terminal.

use super::filter::Filter;
use super::os;
use crate::error::Result;
use crate::sys::{ProcessId, StopHandle, process};
use anyhow::Context;
use std::io::{self, IsTerminal, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;

/// The status of a lost connection, as ssh(1) has it.
const LOST: u8 = 255;
/// The status of a shell's command that Ctrl-C has ended.
const CANCELLED: u8 = 130;

/// Whether the program gets the terminal itself, and with it all that it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Filtered,
    Raw,
}

/// Starts the program; those of its streams that are a terminal's come through a pipe.
///
/// # Errors
/// It can't be started.
pub fn spawn(command: &mut Command, output: Output) -> io::Result<Shown> {
    let is_filtered = |is_terminal: bool| os::FILTERS && output == Output::Filtered && is_terminal;
    if is_filtered(io::stdout().is_terminal()) {
        command.stdout(Stdio::piped());
    }
    if is_filtered(io::stderr().is_terminal()) {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().map(|from| std::thread::spawn(move || pass_on(from, io::stdout())));
    let stderr = child.stderr.take().map(|from| std::thread::spawn(move || pass_on(from, io::stderr())));
    Ok(Shown { child, streams: [stdout, stderr] })
}

/// Runs ssh to its end, with its output filtered. A request to stop this process stops ssh.
///
/// # Errors
/// It can't be started.
pub fn run(mut command: Command) -> Result<ExitCode> {
    let stop = StopHandle::of_this_process().context("can't handle Ctrl-C")?;
    process::die_with_launcher(&mut command).context("can't start ssh")?;
    let shown = spawn(&mut command, Output::Filtered).context("can't start ssh")?;
    let _guard = process::Guard::new(&shown.child).context("can't watch ssh")?;
    let connection = ProcessId::of(shown.child.id());
    let _listening = stop.wake(move || connection.into_iter().for_each(|ssh| drop(ssh.ask_to_stop())));
    let status = shown.wait()?;
    if stop.requests() > 0 {
        return Ok(ExitCode::from(CANCELLED));
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(LOST)))
}

/// Whether a program would be started as it is.
pub fn is_as_it_is(output: Output) -> bool {
    let has_terminal = io::stdout().is_terminal() || io::stderr().is_terminal();
    !os::FILTERS || output == Output::Raw || !has_terminal
}

/// A program that runs.
pub struct Shown {
    pub child: Child,
    streams: [Option<JoinHandle<()>>; 2],
}

impl Shown {
    /// Waits until it has ended and all that it has printed is shown.
    ///
    /// # Errors
    /// It can't be waited for.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().context("can't wait for ssh")?;
        // Both end with it.
        self.streams.into_iter().flatten().for_each(|thread| drop(thread.join()));
        Ok(status)
    }
}

/// Until the end of either side.
fn pass_on(mut from: impl Read, mut to: impl Write) {
    let (mut filter, mut buffer) = (Filter::default(), vec![0; 64 << 10]);
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => filter.push(&buffer[..length]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if to.write_all(&piece).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
