//! Completion on the command line. The script of a shell calls this program again at each TAB, with a variable set, so that
//! names of VMs are complete, too.

use super::args::Cli;
use crate::instance;
use crate::model::units::VmName;
use crate::sys::Dirs;
use clap::{CommandFactory, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;
use std::ffi::OsStr;
use std::io;

/// Set by the scripts, to the name of the shell.
const VARIABLE: &str = "VIRTUALGHOST_COMPLETE";
const PROGRAM: &str = "virtualghost";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
}

impl Shell {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::PowerShell => "powershell",
        }
    }

    /// The script that registers completion of this program, which has to be in PATH.
    pub fn script(self) -> io::Result<Vec<u8>> {
        let mut script = Vec::new();
        let shells = Shells::builtins();
        let shell = shells.completer(self.name()).expect("clap_complete has all of these shells");
        shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
        if self == Self::Zsh {
            // As a file in fpath, zsh runs the script as a function at the first TAB, and expects completions from it.
            script.extend(
                b"[ \"$funcstack[1]\" != _virtualghost ] || _clap_dynamic_completer_virtualghost \"$@\"\n",
            );
        }
        Ok(script)
    }
}

/// Prints completions and exits, if the script of a shell has started this program.
pub fn complete() {
    // One look at the environment is all that other starts do.
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin(PROGRAM).completer(PROGRAM).complete();
    }
}

/// Names of running VMs.
pub fn running_vms() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names(running()))
}

/// Names of all VMs, running or not.
pub fn all_vms() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names(all()))
}

/// The words of a setting that is a choice.
pub fn words(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(|| words.iter().map(CompletionCandidate::new).collect())
}

/// Paths of this machine, and `NAME:` of running VMs.
pub fn host_and_guest_paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = PathCompleter::any().complete(current);
    let prefix = current.to_string_lossy();
    let guests =
        running().into_iter().map(|name| format!("{name}:")).filter(|name| name.starts_with(&*prefix));
    found.extend(guests.map(CompletionCandidate::new));
    found
}

fn names(names: Vec<VmName>) -> Vec<CompletionCandidate> {
    names.iter().map(|name| CompletionCandidate::new(name.as_str())).collect()
}

fn running() -> Vec<VmName> {
    let Ok(dirs) = Dirs::find() else { return Vec::new() };
    instance::list(&dirs.vms_path()).into_iter().map(|vm| vm.name).collect()
}

fn all() -> Vec<VmName> {
    let Ok(dirs) = Dirs::find() else { return Vec::new() };
    instance::known(&dirs).into_iter().map(|vm| vm.name).collect()
}
