//! What failed starts taught, for the next ones: what did not bear, on this machine and with this executable, is not
//! tried first again. A note that helps, and no more: where it can't be read or written, a start just learns anew.

use crate::folders;
use crate::host::{HostFacts, Rung};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Drivers and systems change: after this long it is tried again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Of all machines that share the file (a home on a network), the latest.
const MOST: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    pub rung: Rung,
    pub because: String,
    /// Seconds since 1970.
    at: u64,
    machine: String,
    executable: String,
}

impl Lesson {
    /// The day that it was learnt, such as 2026-11-25.
    pub fn day(&self) -> String {
        let at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.at))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        humantime::format_rfc3339_seconds(at).to_string().chars().take(10).collect()
    }
}

/// The lessons of one machine and executable, and where all are kept.
#[derive(Debug, Clone)]
pub struct Learnt {
    path: PathBuf,
    machine: String,
    executable: String,
    all: Vec<Lesson>,
}

impl Learnt {
    /// `executable` stands for the QEMU that is used, and its version.
    pub fn load(path: &Path, machine: &str, executable: &str) -> Self {
        let all = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path: path.to_owned(), machine: machine.to_owned(), executable: executable.to_owned(), all }
    }

    /// Those that still count.
    pub fn lessons(&self) -> impl Iterator<Item = &Lesson> {
        let now = now();
        self.all.iter().filter(move |lesson| {
            let age = now.abs_diff(lesson.at);
            lesson.machine == self.machine
                && lesson.executable == self.executable
                && age < FORGOTTEN_AFTER.as_secs()
        })
    }

    /// The facts with what failed before in doubt.
    pub fn apply(&self, facts: HostFacts) -> HostFacts {
        self.lessons().fold(facts, |facts, lesson| {
            let hint = "`virtualghost doctor --forget` has it tried again";
            facts.doubting(lesson.rung, &format!("{} (on {}; {hint})", lesson.because, lesson.day()))
        })
    }

    /// Keeps what failed in a launch that came up nevertheless.
    pub fn learn<'a>(&mut self, failed: impl IntoIterator<Item = (Rung, &'a str)>) -> Result<()> {
        let (machine, executable) = (self.machine.clone(), self.executable.clone());
        for (rung, because) in failed {
            self.all.retain(|lesson| {
                (lesson.rung, &lesson.machine, &lesson.executable) != (rung, &machine, &executable)
            });
            self.all.push(Lesson {
                rung,
                because: because.to_owned(),
                at: now(),
                machine: machine.clone(),
                executable: executable.clone(),
            });
        }
        self.all.drain(..self.all.len().saturating_sub(MOST));
        self.save()
    }

    /// Of this machine and executable.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn forget(&mut self) -> Result<()> {
        let (machine, executable) = (&self.machine, &self.executable);
        self.all.retain(|lesson| lesson.machine != *machine || lesson.executable != *executable);
        if self.path.exists() { self.save() } else { Ok(()) }
    }

    fn save(&self) -> Result<()> {
        // Two launches may save at once.
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        folders::replace(&self.path, &serde_json::to_vec_pretty(&self.all)?, &new)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Accelerator, Availability, Os};
    use crate::plan::tests::host;

    const KVM: Rung = Rung::Accelerator(Accelerator::Kvm);

    #[test]
    fn a_lesson_counts_for_its_machine_and_its_executable_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learnt.json");
        let load = |machine, executable| Learnt::load(&path, machine, executable);
        load("here", "1").learn([(KVM, "failed to set MSR")]).unwrap();
        load("there", "1").learn([(Rung::Gl, "no EGL")]).unwrap();
        let rungs = |learnt: &Learnt| learnt.lessons().map(|lesson| lesson.rung).collect::<Vec<_>>();
        assert_eq!(rungs(&load("here", "1")), [KVM]);
        assert_eq!(rungs(&load("here", "2")), []);
        let facts = load("here", "1").apply(host(Os::Linux));
        assert!(matches!(&facts.acceleration, Availability::Doubtful { because } if because.contains("MSR")));
        assert_eq!(facts.gl, Availability::Available);
        load("here", "1").forget().unwrap();
        assert_eq!(rungs(&load("here", "1")), []);
        assert_eq!(rungs(&load("there", "1")), [Rung::Gl]);
    }

    #[test]
    fn a_lesson_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learnt.json");
        let mut learnt = Learnt::load(&path, "here", "1");
        learnt.learn([(KVM, "x")]).unwrap();
        let learnt_at = learnt.all[0].at;
        learnt.all[0].at = learnt_at - FORGOTTEN_AFTER.as_secs() - 1;
        assert_eq!(learnt.lessons().count(), 0);
        // A clock that was set back by far makes it no truer.
        learnt.all[0].at = learnt_at + FORGOTTEN_AFTER.as_secs() + 10;
        assert_eq!(learnt.lessons().count(), 0);
    }

    #[test]
    fn a_file_that_makes_no_sense_teaches_nothing_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learnt.json");
        fs::write(&path, "{").unwrap();
        let mut learnt = Learnt::load(&path, "here", "1");
        assert_eq!(learnt.lessons().count(), 0);
        learnt.learn((0..200).map(|_| (KVM, "x"))).unwrap();
        assert_eq!(Learnt::load(&path, "here", "1").all.len(), 1);
    }
}
