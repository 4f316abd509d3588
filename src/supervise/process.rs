//! QEMU's process: starts it with its channels, sends to it, and kills and reaps it on drop at the latest.

use super::{Launch, os};
use crate::qemu::qmp::Command as QmpCommand;
use crate::sys::process::{self, Exit};
use anyhow::{Context, Result};
use std::io::{PipeWriter, Read, Write};
use std::process::{ChildStdin, Command, Stdio};

/// What QEMU writes.
pub struct Streams {
    pub qmp: Box<dyn Read + Send>,
    pub stderr: Box<dyn Read + Send>,
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
}

pub struct Child {
    // Dropped before the process: the guard must not kill a process number that was reaped.
    guard: Option<process::Guard>,
    process: std::process::Child,
    qmp: ChildStdin,
    control: Box<dyn Write + Send>,
    keyboard: Option<PipeWriter>,
}

impl Child {
    /// Must be called on the thread that supervises: on Linux QEMU dies with the thread that started it.
    pub fn spawn(launch: &Launch) -> Result<(Self, Streams)> {
        let cannot = || format!("can't start {}", launch.program.display());
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let links = os::Links::new(launch).with_context(cannot)?;
        os::Links::prepare(&mut command);
        let _until_spawned = launch.lock.as_deref().map(|lock| process::share(lock.file(), &mut command));
        process::ignore_stop_signals(&mut command);
        process::die_with_launcher(&mut command).with_context(cannot)?;
        if let Some(jail) = &launch.jail {
            jail.confine(&mut command).with_context(cannot)?;
        }
        links.hand_to(&mut command);
        let mut qemu = command.spawn().with_context(cannot)?;
        let os::Ends { console, control, to_guest, keyboard } = links.connect(&qemu).with_context(cannot)?;
        let streams = Streams {
            qmp: Box::new(qemu.stdout.take().expect("it is piped")),
            stderr: Box::new(qemu.stderr.take().expect("it is piped")),
            console,
            control,
        };
        let qmp = qemu.stdin.take().expect("it is piped");
        let mut child = Self { guard: None, process: qemu, qmp, control: to_guest, keyboard };
        child.guard = Some(process::Guard::new(&child.process).with_context(cannot)?);
        Ok((child, streams))
    }

    /// If QEMU no longer reads, it is killed when its limit expires.
    pub fn send(&mut self, command: QmpCommand) {
        if let Err(e) = self.qmp.write_all(command.line().as_bytes()) {
            tracing::debug!("{command:?} did not reach QEMU: {e}");
        }
    }

    /// Sends the guest a line on its control port. What a guest does not read is lost when the channel is full.
    pub fn send_to_guest(&mut self, line: &str) {
        if let Err(e) = self.control.write_all(line.as_bytes()) {
            tracing::debug!("sending to the control port failed: {e}");
        }
    }

    /// The window passes on the keys that it has kept, and keeps no more.
    pub fn release_keys(&mut self) {
        self.keyboard = None;
    }

    /// Whether something has stopped QEMU by a signal and continued it, since this was asked the last time.
    pub fn was_continued(&self) -> bool {
        process::was_continued(&self.process)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn kill(&mut self) {
        if let Err(e) = self.process.kill() {
            tracing::debug!("QEMU was not killed: {e}");
        }
    }

    /// How it ended, if it has. Reaps it.
    pub fn try_wait(&mut self) -> Result<Option<Exit>> {
        let status = self.process.try_wait().context("can't wait for QEMU")?;
        if status.is_some() {
            self.guard = None;
        }
        Ok(status.map(process::exit))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.guard = None;
        self.kill();
        let _ = self.process.wait();
    }
}
