//! Checks whether VMs can run on this machine. Each finding has a state, what was seen, and a fix. Changes nothing: the
//! processes that it starts (a guest for a second, a test of OpenGL) leave no files.
//!
//! The checks are pure functions from facts to findings (`checks`); this module collects the facts, in the order in which a
//! launch needs them.

pub mod boundary;
mod checks;
#[cfg_attr(target_os = "linux", path = "os/linux.rs")]
#[cfg_attr(target_os = "macos", path = "os/macos.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
mod smoke_test;

pub use os::print_gl;

use crate::checkpoint::StartMode;
use crate::config::Config;
use crate::error::Error;
use crate::host::HostFacts;
use crate::jail;
use crate::launch::{KnownFailures, LaunchPlan};
use crate::model::GpuMode;
use crate::payload::gc;
use crate::qemu;
use crate::remote;
use crate::sys::Dirs;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// The worst state of a report decides its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// Worth knowing; VMs are not affected.
    Note,
    /// VMs run, with limits.
    Limited,
    /// No VM can run.
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

    /// The exit status. 0: VMs can run; 1: with limits; 2: not at all.
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
            State::Limited => "VMs can run, with limits",
            State::Broken => "VMs can't run until the items marked \"broken\" are fixed",
        })
    }
}

/// The facts to check, as far as they are available.
pub struct DoctorInput<'a> {
    pub facts: &'a HostFacts,
    pub config: &'a Result<Config, Error>,
    /// The plan of a launch with this configuration.
    pub planned: Result<&'a LaunchPlan, &'a Error>,
    pub dirs: &'a Dirs,
    pub known_failures: &'a KnownFailures,
}

/// Runs every check. This takes some seconds: it starts a guest, and reads every file in the cache.
pub fn examine(input: &DoctorInput<'_>) -> Report {
    let DoctorInput { facts, config, planned, dirs, known_failures } = input;
    let mut findings = vec![checks::config(config, &dirs.config_file_path())];
    match planned {
        Err(error) => findings.push(Finding::broken("launch", error)),
        Ok(plan) => {
            findings.extend(storage(plan));
            findings.push(checks::memory(plan.spec.memory, facts.available_mib));
            findings.push(integrity(plan));
            findings.extend(smoke_test::accelerators(facts, plan));
            findings.extend(jail(facts, plan));
        }
    }
    findings.push(checks::vsock(&facts.vsock));
    findings.extend(os::screen(&facts.session, &facts.gl));
    findings.extend(os::specific(Path::new("/")));
    findings.extend(checks::passthrough(facts));
    findings.push(checks::ssh(remote::check_client()));
    findings.extend(leftovers(&dirs.cache_path()));
    findings.extend(known_failures.current().map(checks::known_failure));
    Report::new(findings)
}

/// Findings that may explain a launch that failed. Only quick checks.
pub fn after_failure(plan: &LaunchPlan) -> Vec<Finding> {
    let mut findings = storage(plan);
    findings.push(checks::memory(plan.spec.memory, plan.facts.available_mib));
    findings.retain(|finding| finding.state > State::Note);
    findings
}

/// The jail, and whether OpenGL works in it.
fn jail(facts: &HostFacts, plan: &LaunchPlan) -> Vec<Finding> {
    let mut findings = vec![checks::jail(facts, &plan.spec.jail)];
    let paths = plan.paths(&StartMode::new(None, &plan.dirs));
    let environment = qemu::environment(&plan.spec, &paths, std::env::vars_os());
    if let (Some(policy), GpuMode::Virgl) =
        (jail::policy(&plan.spec, &paths, &environment), plan.spec.gpu.value)
    {
        findings.extend(os::gl_in_jail(&policy, &environment));
    }
    findings
}

fn storage(plan: &LaunchPlan) -> Vec<Finding> {
    let cache = plan.dirs.cache_path();
    let needed = plan.artifacts.bytes_to_unpack();
    let there = cache.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    vec![
        checks::cache(&cache, os::is_noexec(there), os::is_writable(there)),
        checks::disk(&cache, fs4::available_space(there).ok(), needed),
    ]
}

fn integrity(plan: &LaunchPlan) -> Finding {
    match plan.artifacts.damaged_files() {
        None => {
            Finding::new("assets", State::Note, "nothing unpacked yet; the first start unpacks the files")
        }
        Some(Err(error)) => Finding::broken("assets", &error),
        Some(Ok(damaged)) => checks::assets(&plan.dirs.cache_path(), &damaged),
    }
}

fn leftovers(cache: &Path) -> Option<Finding> {
    let found = gc::list(cache).ok()?;
    checks::leftovers(
        found.iter().filter(|entry| entry.leftover).map(|entry| (entry.path.as_path(), entry.bytes)),
    )
}

#[cfg(all(test, unix))]
mod texts;
