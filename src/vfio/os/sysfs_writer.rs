//! Does each write to sysfs in its own process: if a driver does not release its device, the writing process hangs in the
//! kernel, where not even SIGKILL has an effect.

use crate::error::{Error, Kind, Result};
use crate::host::pci::sysfs::Root;
use crate::model::SysfsWrite;
use crate::sys::process;
use crate::sys::time_limit::wait_or_kill;
use crate::vfio::transaction::{Failed, Writer};
use anyhow::Context;
use std::fs::File;
use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A driver of a large GPU needs seconds to shut it down.
const LIMIT: Duration = Duration::from_secs(30);

pub struct ChildWriter;

impl Writer for ChildWriter {
    fn write(&mut self, write: &SysfsWrite) -> std::result::Result<(), Failed> {
        tracing::info!("{write}");
        run(write, LIMIT).unwrap_or_else(|e| Err(Failed::Refused(format!("{e:#}"))))
    }
}

fn run(write: &SysfsWrite, limit: Duration) -> anyhow::Result<std::result::Result<(), Failed>> {
    let executable = process::this_program()?;
    let mut child = Command::new(executable)
        .args(["gpu", "write"])
        .args(write.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't start a process for the write")?;
    let Some(status) = wait_or_kill(&mut child, limit)? else {
        return Ok(Err(Failed::Hung(limit)));
    };
    let mut message = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut message);
    }
    let because = message.trim().trim_start_matches("error: ").to_owned();
    Ok(if status.success() { Ok(()) } else { Err(Failed::Refused(because)) })
}

/// The child: one write(2), whose result is the kernel's.
pub fn write_one(write: &SysfsWrite) -> Result<()> {
    let file = File::options().write(true).open(Root::system().path(write.path()));
    let written = file.and_then(|mut file| file.write_all(write.value().as_bytes()));
    written.map_err(|e| Error::new(Kind::Failed, e))
}
