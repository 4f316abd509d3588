//! `virtualghost apply`: brings what a VM has changed in copies of folders to this machine.

use super::diff;
use crate::cli::output::{confirmed, print};
use crate::error::{Error, Kind, Result};
use crate::instance;
use crate::model::units::VmName;
use crate::share::copy::{self, WorkingCopy};
use crate::sys::{Dirs, output};
use std::process::ExitCode;

pub fn run(name: Option<&VmName>, discard: bool, yes: bool) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let (name, copies) = diff::find(&dirs, name)?;
    if discard {
        return run_discard(&dirs, &name, &copies, yes);
    }
    let mut is_complete = true;
    for (copy, changes) in diff::all(&copies)? {
        let folder = copy.origin().unwrap_or_default();
        let folder = folder.display();
        if changes.is_empty() {
            print(format_args!("no changes in the copy of {folder}"))?;
            continue;
        }
        let lines: Vec<_> = changes.iter().map(diff::line).collect();
        print(lines.join("\n"))?;
        let counted = copy::counted(changes.len());
        let hint = format!("to apply them anyway: virtualghost apply --yes {name}");
        if !yes && !confirmed(&format!("apply {counted} to {folder}"), &hint)? {
            return Err(Error::new(Kind::Failed, "nothing was applied"));
        }
        let applied = copy::apply(copy, &name, &changes)?;
        for (path, because) in &applied.failed {
            output::error_line(format_args!("{}: {because}", copy::shown(path)));
        }
        for path in &applied.beside {
            let what = "was changed on this machine too, so the VM's is beside it";
            output::error_line(format_args!("{}: it {what}", copy::shown(path)));
        }
        is_complete &= applied.failed.is_empty();
        print(format_args!("applied {} to {folder}", copy::counted(applied.count)))?;
    }
    if is_complete {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Error::new(Kind::Failed, "not everything was applied"))
    }
}

fn run_discard(dirs: &Dirs, name: &VmName, copies: &[WorkingCopy], yes: bool) -> Result<ExitCode> {
    if instance::running(&dirs.vms_path(), name).is_some() {
        return Err(Error::bad_input(format!("{name} is running, and works on the copies"))
            .hint(format!("stop it first: virtualghost stop {name}")));
    }
    let count = diff::all(copies)?.iter().map(|(_, changes)| changes.len()).sum();
    let action = format!("delete {} in the copies of {name}", copy::counted(count));
    let hint = format!("to delete them anyway: virtualghost apply --discard --yes {name}");
    if count > 0 && !yes && !confirmed(&action, &hint)? {
        return Err(Error::new(Kind::Failed, "nothing was deleted"));
    }
    copies.iter().try_for_each(WorkingCopy::remove)?;
    print(format_args!("deleted the copies of {name}"))
}
