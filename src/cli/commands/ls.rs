//! `virtualghost ls`: lists all VMs, running or not.

use crate::cli::output::{print, print_table};
use crate::error::Result;
use crate::instance::{self, KeptDisk, KnownVm};
use crate::model::units::SnapshotTag;
use crate::sys::Dirs;
use serde_json::json;
use std::process::ExitCode;

pub fn run(as_json: bool) -> Result<ExitCode> {
    let found = instance::known(&Dirs::find()?);
    if as_json {
        return print(format_args!("{:#}", json!(found.iter().map(details).collect::<Vec<_>>())));
    }
    if found.is_empty() {
        return print("there is no VM");
    }
    print_table(
        ["NAME", "STATE", "HOME", "SYSTEM", "SNAPSHOTS", "COPIES", "LAST USED"],
        found.iter().map(row),
    )
}

fn details(vm: &KnownVm) -> serde_json::Value {
    let disk = |disk: &Option<KeptDisk>| {
        disk.as_ref().map(|disk| json!({ "path": disk.path, "bytes_on_disk": disk.bytes_on_disk }))
    };
    json!({
        "name": vm.name.as_str(),
        "state": state(vm),
        "home": disk(&vm.home),
        "system": disk(&vm.system),
        "snapshots": vm.snapshots.iter().map(SnapshotTag::as_str).collect::<Vec<_>>(),
        "copies": vm.copies,
        "last_used": last_used(vm),
    })
}

fn row(vm: &KnownVm) -> [String; 7] {
    let size = |disk: &Option<KeptDisk>| {
        disk.as_ref().map(|disk| format!("{} MiB", disk.bytes_on_disk >> 20)).unwrap_or_default()
    };
    let snapshots = vm.snapshots.iter().map(SnapshotTag::as_str).collect::<Vec<_>>().join(", ");
    let copies = vm.copies.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    let last_used = last_used(vm).unwrap_or_default();
    [vm.name.to_string(), state(vm), size(&vm.home), size(&vm.system), snapshots, copies, last_used]
}

/// As `ps` prints it, and `off`.
fn state(vm: &KnownVm) -> String {
    match &vm.running {
        None => "off".to_owned(),
        // Its launcher has locked the name and has not written the state file yet.
        Some(running) => running.state.as_ref().map_or("booting".to_owned(), |state| state.state.to_string()),
    }
}

fn last_used(vm: &KnownVm) -> Option<String> {
    Some(humantime::format_rfc3339_seconds(vm.last_used?).to_string())
}
