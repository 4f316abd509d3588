//! What a launch returns for the end of its VM: the exit status, or the error with what was printed last.

use super::reporter::Reporter;
use crate::error::{Error, Kind, Result};
use crate::instance::VmFiles;
use crate::model::VmSpec;
use crate::supervise::{End, Tails};
use std::fmt::Write;

/// The exit status where the terminal's shell ended with another status than 0.
const SESSION_FAILED: u8 = 4;

/// The exit status. An end is good when the user stopped the VM, or the session ended with status 0 after it was ready;
/// and in both cases only if the guest has written its disks.
pub fn after_power_off(end: &End, spec: &VmSpec, files: &VmFiles, reporter: &mut dyn Reporter) -> Result<u8> {
    match *end {
        End::PoweredOff { clean: false, .. } | End::Stopped { clean: false, .. } => Err(not_powered_off()),
        End::PoweredOff { session_status, premature: true, .. } => {
            Err(ended_early(session_status, spec, files))
        }
        End::PoweredOff { session_status: Some(status), .. } if status != 0 => {
            reporter.notice(&format!("the session ended with status {status}"));
            Ok(SESSION_FAILED)
        }
        _ => Ok(0),
    }
}

pub fn not_powered_off() -> Error {
    Error::new(Kind::VmDied, "the VM was stopped before its guest had powered off")
        .hint("what it had not written yet is lost; its home is checked at the next start")
}

pub fn ended_early(session_status: Option<i32>, spec: &VmSpec, files: &VmFiles) -> Error {
    let status = session_status.map(|status| format!(" with status {status}")).unwrap_or_default();
    let console = format!("the guest's console: {}", files.console_log_path().display());
    let hint = if spec.keeps_home() && !spec.headless && !spec.safe {
        let way_out = format!("virtualghost run --name {} --safe", spec.name);
        format!("to start without the start files of its home (~/.bashrc, foot.ini): {way_out}; {console}")
    } else {
        console
    };
    Error::new(Kind::VmDied, format!("the session ended{status} before its first prompt")).hint(hint)
}

pub fn died(reason: &str, tails: &Tails, files: &VmFiles) -> Error {
    let mut text = reason.to_owned();
    for (whose, lines) in [("the guest's console", &tails.console), ("QEMU", &tails.qemu)] {
        if !lines.is_empty() {
            let _ = write!(text, "\nlast lines of {whose}:\n  {}", lines.join("\n  "));
        }
    }
    let (console, qemu) = (files.console_log_path(), files.qemu_log_path());
    Error::new(Kind::VmDied, text).hint(format!(
        "complete logs: {} and {}",
        console.display(),
        qemu.display()
    ))
}
