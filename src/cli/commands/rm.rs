//! `virtualghost rm`: deletes a VM and what it keeps.

use crate::cli::output::{confirmed, print};
use crate::error::{Error, Kind, Result};
use crate::instance::{self, Kept, KeptDisk, KnownVm, snapshots};
use crate::model::units::{SnapshotTag, VmName};
use crate::share::copy::WorkingCopy;
use crate::sys::Dirs;
use std::process::ExitCode;

pub fn run(name: &VmName, snapshot: Option<&SnapshotTag>, yes: bool) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let found = instance::existing(&dirs, name)?;
    let not_removed = |what: &str| Err(Error::new(Kind::Failed, format!("{what} was not removed")));
    if let Some(tag) = snapshot {
        let mib = snapshots::existing(&dirs, name, tag)?.bytes_on_disk() >> 20;
        let what = format!("the snapshot {tag} of {name}");
        let hint = format!("to delete it anyway: virtualghost rm --yes {name} --snapshot {tag}");
        if !yes && !confirmed(&format!("delete {what} ({mib} MiB)"), &hint)? {
            return not_removed(&what);
        }
        snapshots::remove(&dirs, name, tag)?;
        return print(format_args!("removed {what}"));
    }
    let kept = kept(&found);
    let action = format!("delete {name}{}", with(&kept, |(what, detail)| format!("{what} ({detail})")));
    let hint = format!("to delete them anyway: virtualghost rm --yes {name}");
    if found.running.is_none() && !yes && !kept.is_empty() && !confirmed(&action, &hint)? {
        return not_removed(name.as_str());
    }
    instance::remove(&dirs.vms_path(), name, || {
        snapshots::remove_all(&dirs, name)?;
        WorkingCopy::all(&dirs, name).iter().try_for_each(WorkingCopy::remove)?;
        Kept::of_vm(&dirs, name).remove()
    })?;
    print(format_args!("removed {name}{}", with(&kept, |(what, _)| (*what).to_owned())))
}

/// What would be lost: what it is, with its place and size, or its names.
fn kept(vm: &KnownVm) -> Vec<(&'static str, String)> {
    let detail = |disk: &KeptDisk| format!("{}, {} MiB", disk.path.display(), disk.bytes_on_disk >> 20);
    let tags: Vec<_> = vm.snapshots.iter().map(SnapshotTag::as_str).collect();
    let copies: Vec<_> = vm.copies.iter().map(|folder| folder.display().to_string()).collect();
    let kept = [
        ("its home", vm.home.as_ref().map(detail)),
        ("its system", vm.system.as_ref().map(detail)),
        ("its snapshots", (!tags.is_empty()).then(|| tags.join(", "))),
        ("what it has changed in copies", (!copies.is_empty()).then(|| copies.join(", "))),
    ];
    kept.into_iter().filter_map(|(what, detail)| Some((what, detail?))).collect()
}

/// To be put behind the VM's name.
fn with(kept: &[(&'static str, String)], text: impl Fn(&(&'static str, String)) -> String) -> String {
    kept.iter().map(|part| format!(" and {}", text(part))).collect()
}
