//! `virtualghost diff`: what a VM has changed in the copies of folders that it works on, as git shows it.

use crate::cli::output::print;
use crate::cli::pager::Pager;
use crate::error::{Error, Result};
use crate::instance;
use crate::model::units::VmName;
use crate::share::copy::{self, Change, What, WorkingCopy};
use crate::sys::Dirs;
use similar::{Algorithm, TextDiff};
use std::process::ExitCode;
use std::time::Duration;

/// Longer files are shown as binary ones are.
const LONGEST: u64 = 4 << 20;
/// A NUL among so many first bytes makes a file a binary one, as in git.
const LOOKED_AT: usize = 8000;
/// A difference that takes longer to find is not the smallest one.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn run(name: Option<&VmName>, name_status: bool) -> Result<ExitCode> {
    let (_, copies) = find(&Dirs::find()?, name)?;
    if name_status {
        let names: Vec<_> = all(&copies)?.iter().flat_map(|(_, changes)| changes).map(line).collect();
        return if names.is_empty() { Ok(ExitCode::SUCCESS) } else { print(names.join("\n")) };
    }
    let mut pager = Pager::start();
    for (copy, changes) in all(&copies)? {
        for change in &changes {
            // Whoever ends the pager has seen enough.
            if show(&mut pager, copy, change)?.is_none() {
                break;
            }
        }
    }
    pager.finish()
}

/// A VM that works on copies: the named one; without a name the default one, or the only one.
pub fn find(dirs: &Dirs, name: Option<&VmName>) -> Result<(VmName, Vec<WorkingCopy>)> {
    let known = instance::known(dirs);
    let with: Vec<_> = known.iter().filter(|vm| !vm.copies.is_empty()).map(|vm| &vm.name).collect();
    let hint = "give a VM a copy of a folder: virtualghost --share DIR:copy";
    let name = match (name, &with[..]) {
        (Some(name), _) if with.contains(&name) => name.clone(),
        (Some(name), _) => {
            return Err(Error::bad_input(format!("{name} has no copy of a folder")).hint(hint));
        }
        (None, []) => return Err(Error::bad_input("no VM has a copy of a folder").hint(hint)),
        (None, [only]) => (*only).clone(),
        (None, several) => match several.iter().find(|name| ***name == VmName::default()) {
            Some(name) => (**name).clone(),
            None => {
                let names: Vec<_> = several.iter().map(|name| name.as_str()).collect();
                let what = format!("several VMs have copies of folders: {}", names.join(", "));
                return Err(Error::bad_input(what).hint("add its name"));
            }
        },
    };
    let copies = WorkingCopy::all(dirs, &name);
    Ok((name, copies))
}

/// The copies with their changes.
pub fn all(copies: &[WorkingCopy]) -> Result<Vec<(&WorkingCopy, Vec<Change>)>> {
    copies.iter().map(|copy| Ok((copy, copy::changes(copy)?))).collect()
}

/// The line of one change.
pub fn line(change: &Change) -> String {
    let letter = match (change.is_conflict, change.what) {
        (true, _) => 'C',
        (false, What::Added) => 'A',
        (false, What::Changed) => 'M',
        (false, What::Removed) => 'D',
    };
    let slash = if change.is_folder { "/" } else { "" };
    format!("{letter}\t{}{slash}", change.shown())
}

/// None if nobody reads it any more.
fn show(pager: &mut Pager, copy: &WorkingCopy, change: &Change) -> Result<Option<()>> {
    let path = change.shown();
    let mut head = vec![format!("diff a/{path} b/{path}")];
    if change.is_conflict {
        head.push("changed on this machine too, since the copy was made".to_owned());
    }
    if change.is_folder {
        head.push(if change.what == What::Removed { "folder removed" } else { "new folder" }.to_owned());
        return Ok(pager.heads(&head));
    }
    let [old, new] = copy::contents(copy, &change.path, LONGEST + 1)?;
    match (&old, &new) {
        (None, _) => head.push("new file".to_owned()),
        (_, None) => head.push("file removed".to_owned()),
        _ => {}
    }
    let side = |is_there: bool, letter: char| {
        if is_there { format!("{letter}/{path}") } else { "/dev/null".to_owned() }
    };
    let (from, to) = (side(old.is_some(), 'a'), side(new.is_some(), 'b'));
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    if [&old, &new].into_iter().any(|text| is_binary(text)) {
        head.push(format!("Binary files {from} and {to} differ"));
        return Ok(pager.heads(&head));
    }
    let Some(()) = pager.heads(&head) else { return Ok(None) };
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Myers).timeout(PATIENCE);
    let text = config.diff_lines(&old[..], &new[..]);
    let shown = text.unified_diff().header(&from, &to).to_string();
    Ok(pager.diff(&shown))
}

fn is_binary(text: &[u8]) -> bool {
    text.len() as u64 > LONGEST || text[..text.len().min(LOOKED_AT)].contains(&0)
}
