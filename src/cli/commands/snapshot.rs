//! `virtualghost snapshot` and `virtualghost restore`: copies of what a VM keeps, to go back to.

use crate::cli::output::{confirmed, print};
use crate::error::{Error, Kind, Result};
use crate::instance::{self, Kept, snapshots};
use crate::model::units::{SnapshotTag, VmName};
use crate::sys::Dirs;
use std::process::ExitCode;
use std::time::SystemTime;

pub fn make(name: &VmName, tag: Option<&SnapshotTag>) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    instance::existing(&dirs, name)?;
    let tag = tag.cloned().unwrap_or_else(now);
    snapshots::make(&dirs, name, &tag)?;
    print(format_args!("made the snapshot {tag} of {name}; go back to it: virtualghost restore {name} {tag}"))
}

pub fn restore(name: &VmName, tag: &SnapshotTag, yes: bool) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let found = instance::existing(&dirs, name)?;
    snapshots::existing(&dirs, name, tag)?;
    let action = format!("replace what {name} keeps by its snapshot {tag}");
    let hint = format!(
        "to keep it too: virtualghost snapshot {name}; to replace it: virtualghost restore --yes {name} {tag}"
    );
    let loses = found.running.is_none() && Kept::of_vm(&dirs, name).is_there();
    if loses && !yes && !confirmed(&action, &hint)? {
        return Err(Error::new(Kind::Failed, format!("{name} was not restored")));
    }
    snapshots::restore(&dirs, name, tag)?;
    print(format_args!("restored {name} to {tag}"))
}

/// The date and time, in UTC.
fn now() -> SnapshotTag {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.replace(':', "-").parse().expect("digits, letters and hyphens")
}
