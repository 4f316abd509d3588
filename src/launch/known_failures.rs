//! Remembers features that failed, so that later starts on this machine with this executable skip them. If the file can't be
//! read or written, a start just tries everything again.

use crate::host::HostFacts;
use crate::model::Feature;
use crate::sys::files;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// After this time a feature is tried again, because drivers and systems change.
const EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);

/// The latest failures of all machines that share the file (a home on a network) are kept.
const MOST: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFailure {
    pub feature: Feature,
    pub because: String,
    /// Seconds since 1970.
    at: u64,
    machine: String,
    executable: String,
}

impl KnownFailure {
    /// The day of the failure, such as 2026-11-25.
    pub fn day(&self) -> String {
        let at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.at))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        humantime::format_rfc3339_seconds(at).to_string().chars().take(10).collect()
    }
}

/// The failures of one machine and executable, in the file of all.
#[derive(Debug, Clone)]
pub struct KnownFailures {
    path: PathBuf,
    machine: String,
    executable: String,
    all: Vec<KnownFailure>,
}

impl KnownFailures {
    /// `executable` identifies the QEMU that is used, and its version.
    pub fn load(path: &Path, machine: &str, executable: &str) -> Self {
        let all = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path: path.to_owned(), machine: machine.to_owned(), executable: executable.to_owned(), all }
    }

    /// Those that have not expired.
    pub fn current(&self) -> impl Iterator<Item = &KnownFailure> {
        let now = now();
        self.all.iter().filter(move |failure| {
            let age = now.abs_diff(failure.at);
            failure.machine == self.machine && failure.executable == self.executable && age < EXPIRY.as_secs()
        })
    }

    /// Marks the features that failed as doubtful.
    pub fn apply(&self, facts: HostFacts) -> HostFacts {
        self.current().fold(facts, |facts, failure| {
            let hint = "to try it again: virtualghost doctor --forget";
            facts.mark_doubtful(
                failure.feature,
                &format!("{} (on {}; {hint})", failure.because, failure.day()),
            )
        })
    }

    /// Adds features that failed during a launch that succeeded without them.
    pub fn add<'a>(&mut self, failed: impl IntoIterator<Item = (Feature, &'a str)>) -> Result<()> {
        let (machine, executable) = (self.machine.clone(), self.executable.clone());
        for (feature, because) in failed {
            self.all.retain(|failure| {
                (failure.feature, &failure.machine, &failure.executable) != (feature, &machine, &executable)
            });
            self.all.push(KnownFailure {
                feature,
                because: because.to_owned(),
                at: now(),
                machine: machine.clone(),
                executable: executable.clone(),
            });
        }
        self.all.drain(..self.all.len().saturating_sub(MOST));
        self.save()
    }

    /// Removes the failures of this machine and executable.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn forget(&mut self) -> Result<()> {
        let (machine, executable) = (&self.machine, &self.executable);
        self.all.retain(|failure| failure.machine != *machine || failure.executable != *executable);
        if self.path.exists() { self.save() } else { Ok(()) }
    }

    fn save(&self) -> Result<()> {
        // Two launches may save at once.
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        files::replace(&self.path, &serde_json::to_vec_pretty(&self.all)?, &new)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Availability;
    use crate::model::{Accelerator, Os};
    use crate::testing::host;

    const KVM: Feature = Feature::Accelerator(Accelerator::Kvm);

    #[test]
    fn a_failure_applies_to_its_machine_and_executable_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-failures.json");
        let load = |machine, executable| KnownFailures::load(&path, machine, executable);
        load("here", "1").add([(KVM, "failed to set MSR")]).unwrap();
        load("there", "1").add([(Feature::Gl, "no EGL")]).unwrap();
        let features =
            |known: &KnownFailures| known.current().map(|failure| failure.feature).collect::<Vec<_>>();
        assert_eq!(features(&load("here", "1")), [KVM]);
        assert_eq!(features(&load("here", "2")), []);
        let facts = load("here", "1").apply(host(Os::Linux));
        assert!(matches!(&facts.acceleration, Availability::Doubtful { because } if because.contains("MSR")));
        assert_eq!(facts.gl, Availability::Available);
        load("here", "1").forget().unwrap();
        assert_eq!(features(&load("here", "1")), []);
        assert_eq!(features(&load("there", "1")), [Feature::Gl]);
    }

    #[test]
    fn a_failure_expires() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-failures.json");
        let mut known = KnownFailures::load(&path, "here", "1");
        known.add([(KVM, "x")]).unwrap();
        let at = known.all[0].at;
        known.all[0].at = at - EXPIRY.as_secs() - 1;
        assert_eq!(known.current().count(), 0);
        // The same if the clock was set back.
        known.all[0].at = at + EXPIRY.as_secs() + 10;
        assert_eq!(known.current().count(), 0);
    }

    #[test]
    fn an_unreadable_file_is_empty_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-failures.json");
        fs::write(&path, "{").unwrap();
        let mut known = KnownFailures::load(&path, "here", "1");
        assert_eq!(known.current().count(), 0);
        known.add((0..200).map(|_| (KVM, "x"))).unwrap();
        assert_eq!(KnownFailures::load(&path, "here", "1").all.len(), 1);
    }
}

#[cfg(all(test, unix))]
mod texts;
