//! The log of a VM's network.

use crate::error::Result;
use anyhow::Context;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// A line for each event, with its time; up to a limit. Failed writes are ignored: a full disk must not stop a VM.
#[derive(Default)]
pub struct Log {
    file: Option<File>,
    bytes_left: usize,
}

impl Log {
    const MOST_BYTES: usize = 1 << 20;

    /// No path: nothing is logged.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            let opened = File::options().create(true).append(true).open(path);
            opened.with_context(|| format!("can't write {}", path.display()))
        };
        Ok(Self { file: path.map(open).transpose()?, bytes_left: Self::MOST_BYTES })
    }

    pub fn append(&mut self, text: &str) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let line = format!("{time} {text}\n");
        if let Some(file) = self.file.as_mut().filter(|_| line.len() <= self.bytes_left)
            && file.write_all(line.as_bytes()).is_ok()
        {
            self.bytes_left -= line.len();
        }
    }
}
