//! What a launch would meet on this machine: each finding with its state, what was seen and what to type. Reads only;
//! what it starts (a guest of a second, a look at OpenGL) leaves nothing.
//!
//! The checks are pure functions from what was read to a finding (`checks`); this module reads, in the order in which a
//! launch needs things.

mod checks;
#[cfg_attr(target_os = "linux", path = "os/linux.rs")]
#[cfg_attr(target_os = "macos", path = "os/macos.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
mod trial;

pub use os::print_gl;

use crate::assets::clean;
use crate::config::Config;
use crate::error::Error;
use crate::folders::Folders;
use crate::host::HostFacts;
use crate::learnt::Learnt;
use crate::parts::Parts;
use crate::plan::VmSpec;
use crate::remote;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// The worst of a report decides its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// Worth knowing, and nothing is worse for it.
    Note,
    /// A launch works, with less than it could have.
    Limited,
    /// No launch works.
    Broken,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Limited => "limited",
            Self::Broken => "broken",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub state: State,
    pub seen: String,
    /// What to type or do.
    pub fix: Option<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, seen: impl Into<String>) -> Self {
        Self { check, state, seen: seen.into(), fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// An error as a finding; its hint is the fix.
    fn broken(check: &'static str, error: &Error) -> Self {
        Self { fix: error.hint.clone(), ..Self::new(check, State::Broken, format!("{:#}", error.cause)) }
    }
}

/// `STATE CHECK SEEN`, and the fix on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<14} {}", self.state, self.check, self.seen)?;
        match &self.fix {
            Some(fix) => write!(f, "\n{:24}→ {fix}", ""),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Report {
    /// The worst of the findings.
    pub state: State,
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn new(findings: Vec<Finding>) -> Self {
        let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
        Self { state, findings }
    }

    /// The exit status. 0: all good; 1: it works, with limits; 2: nothing can be launched.
    pub fn status(&self) -> u8 {
        match self.state {
            State::Ok | State::Note => 0,
            State::Limited => 1,
            State::Broken => 2,
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and enums have a JSON form")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        f.write_str(match self.state {
            State::Ok | State::Note => "everything works",
            State::Limited => "it works, with limits",
            State::Broken => "it can't work before what is broken is mended",
        })
    }
}

/// What is to be examined, each as far as it could be made.
pub struct Patient<'a> {
    pub facts: &'a HostFacts,
    pub config: &'a Result<Config, Error>,
    /// What a launch would be, and where its parts come from.
    pub planned: Result<(&'a VmSpec, &'a Parts), &'a Error>,
    pub folders: &'a Folders,
    pub learnt: &'a Learnt,
}

/// Everything. Takes some seconds: a guest runs, and the cache is read to its end.
pub fn examine(patient: &Patient) -> Report {
    let Patient { facts, config, planned, folders, learnt } = patient;
    let mut findings = vec![checks::config(config, &folders.config_file_path())];
    match planned {
        Err(error) => findings.push(Finding::broken("launch", error)),
        Ok((spec, parts)) => {
            findings.extend(storage(parts, folders));
            findings.push(checks::memory(spec.memory, facts.available_mib));
            findings.push(integrity(parts, &folders.cache_path()));
            findings.extend(trial::accelerators(facts, spec, parts, folders));
        }
    }
    findings.push(checks::vsock(&facts.vsock));
    findings.extend(os::screen(&facts.session, &facts.gl));
    findings.extend(os::peculiarities(Path::new("/"))); // what only this system has
    findings.extend(checks::passthrough(facts));
    findings.push(checks::ssh(remote::check_client()));
    findings.extend(leftovers(&folders.cache_path()));
    findings.extend(learnt.lessons().map(checks::lesson));
    Report::new(findings)
}

/// What may explain a launch that failed: what can be seen at once, and is not as it should be.
pub fn after_failure(memory: &Config, parts: &Parts, folders: &Folders, facts: &HostFacts) -> Vec<Finding> {
    let mut findings = storage(parts, folders);
    findings.push(checks::memory(memory.memory.value, facts.available_mib));
    findings.retain(|finding| finding.state > State::Note);
    findings
}

fn storage(parts: &Parts, folders: &Folders) -> Vec<Finding> {
    let cache = folders.cache_path();
    let needed = parts.bytes_to_unpack(&cache);
    let there = cache.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    vec![
        checks::cache(&cache, os::is_noexec(there), os::is_writable(there)),
        checks::disk(&cache, fs4::available_space(there).ok(), needed),
    ]
}

fn integrity(parts: &Parts, cache: &Path) -> Finding {
    match parts.damaged_files(cache) {
        None => Finding::new("assets", State::Note, "nothing is unpacked yet; the first start does it"),
        Some(Err(error)) => Finding::broken("assets", &error),
        Some(Ok(damaged)) => checks::assets(cache, &damaged),
    }
}

fn leftovers(cache: &Path) -> Option<Finding> {
    let found = clean::list(cache).ok()?;
    checks::leftovers(
        found.iter().filter(|entry| entry.leftover).map(|entry| (entry.path.as_path(), entry.bytes)),
    )
}
