//! `virtualghost logs`: shows the guest's console, QEMU's messages, or what the guest has reached.

use crate::error::{Error, Result};
use crate::instance::{self, VmFiles};
use crate::model::units::VmName;
use crate::sys::Dirs;
use crate::sys::printable::Cleaner;
use anyhow::Context;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, Write};
use std::process::ExitCode;
use std::time::Duration;

/// One of a VM's logs.
pub enum Which {
    Console,
    Qemu,
    Network,
}

impl Which {
    pub fn of(qemu: bool, network: bool) -> Self {
        match (qemu, network) {
            (true, _) => Self::Qemu,
            (_, true) => Self::Network,
            _ => Self::Console,
        }
    }
}

/// A terminal gets the text without escape sequences, unless it is to be `raw`; everything else the bytes as they are.
pub fn run(name: &VmName, follow: bool, which: Which, raw: bool) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let files = VmFiles::new(&vms, name);
    let path = match which {
        Which::Console => files.console_log_path(),
        Which::Qemu => files.qemu_log_path(),
        Which::Network => files.network_log_path(),
    };
    let mut log = match File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(Error::bad_input(format!(
                "no logs of a VM named {name}: {} does not exist",
                path.display()
            ))
            .hint("list all VMs: virtualghost ls"));
        }
        opened => opened.with_context(|| format!("can't read {}", path.display()))?,
    };
    let mut output = io::stdout().lock();
    let mut cleaner = (!raw && output.is_terminal()).then(Cleaner::default);
    let mut length = 0;
    loop {
        // Checked before reading the rest, so that the last lines are not missed.
        let is_running = follow && instance::running(&vms, name).is_some();
        // A start empties the log.
        let now = log.metadata().with_context(|| format!("can't read {}", path.display()))?.len();
        if now < length {
            log.rewind().with_context(|| format!("can't read {}", path.display()))?;
        }
        length = now;
        match copy_available(&mut log, &mut output, cleaner.as_mut()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            copied => copied.with_context(|| format!("can't show {}", path.display()))?,
        }
        if !is_running {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn copy_available(
    from: &mut impl Read,
    to: &mut impl Write,
    mut cleaner: Option<&mut Cleaner>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(length) => &buffer[..length],
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        match &mut cleaner {
            Some(cleaner) => to.write_all(cleaner.push(piece).as_bytes())?,
            None => to.write_all(piece)?,
        }
    }
}
