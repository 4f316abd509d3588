//! QEMU's process: started with its channels, sent to, killed and reaped at the latest when dropped.

use super::qmp::Command as QmpCommand;
use super::{Exit, Launch, os};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::process::{ChildStdin, Command, Stdio};

/// What QEMU writes.
pub struct Streams {
    pub qmp: Box<dyn Read + Send>,
    pub stderr: Box<dyn Read + Send>,
    pub console: Box<dyn Read + Send>,
    pub control: Box<dyn Read + Send>,
}

pub struct Child {
    // Dropped before the process is: nothing may still want to kill a process that is reaped.
    guard: Option<os::Guard>,
    process: std::process::Child,
    qmp: ChildStdin,
    control: Box<dyn Write + Send>,
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
        let links = os::Links::new(&launch.channels).with_context(cannot)?;
        links.hand_to(&mut command);
        let _until_spawned = launch.lock.as_deref().map(|lock| os::share(lock, &mut command));
        os::die_with_launcher(&mut command).with_context(cannot)?;
        let mut process = command.spawn().with_context(cannot)?;
        let os::Ends { console, control, to_guest } = links.connect(&process).with_context(cannot)?;
        let streams = Streams {
            qmp: Box::new(process.stdout.take().expect("it is piped")),
            stderr: Box::new(process.stderr.take().expect("it is piped")),
            console,
            control,
        };
        let qmp = process.stdin.take().expect("it is piped");
        let mut child = Self { guard: None, process, qmp, control: to_guest };
        child.guard = Some(os::Guard::new(&child.process).with_context(cannot)?);
        Ok((child, streams))
    }

    /// A QEMU that no longer listens is dealt with when its time is over.
    pub fn send(&mut self, command: QmpCommand) {
        if let Err(e) = self.qmp.write_all(command.line().as_bytes()) {
            tracing::debug!("{command:?} did not reach QEMU: {e}");
        }
    }

    /// A line for the guest, on its control port.
    pub fn tell(&mut self, line: &str) {
        if let Err(e) = self.control.write_all(line.as_bytes()) {
            tracing::debug!("the guest was not told: {e}");
        }
    }

    pub fn terminate(&mut self) {
        os::terminate(&mut self.process);
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
        Ok(status.map(os::exit))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.guard = None;
        self.kill();
        let _ = self.process.wait();
    }
}
