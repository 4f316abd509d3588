//! Each write to sysfs in a process of its own: a driver that does not let go holds the writer in the kernel, where not
//! even SIGKILL reaches it.

use crate::error::{Error, Kind, Result};
use crate::vfio::Write;
use crate::vfio::transaction::{Failed, Writer};
use anyhow::Context;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A driver of a large GPU takes seconds to shut it down.
const LIMIT: Duration = Duration::from_secs(30);

pub struct ChildWriter;

impl Writer for ChildWriter {
    fn write(&mut self, write: &Write) -> std::result::Result<(), Failed> {
        tracing::info!("{write}");
        run(write, LIMIT).unwrap_or_else(|e| Err(Failed::Refused(format!("{e:#}"))))
    }
}

fn run(write: &Write, limit: Duration) -> anyhow::Result<std::result::Result<(), Failed>> {
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let mut child = Command::new(executable)
        .args(["gpu", "write", "--", &format!("/{}", write.path), &write.value])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't start a process for the write")?;
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            // Takes effect when the kernel returns, if it does.
            let _ = child.kill();
            return Ok(Err(Failed::Hung(limit)));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let because = said.trim().trim_start_matches("error: ").to_owned();
    Ok(if status.success() { Ok(()) } else { Err(Failed::Refused(because)) })
}

/// What the child does: one write(2), whose result is the kernel's answer.
pub fn write_one(path: &Path, value: &str) -> Result<()> {
    let written =
        File::options().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|e| Error::new(Kind::Failed, e))
}
