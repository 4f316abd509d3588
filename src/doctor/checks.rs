//! From what was read to a finding. Pure.

use super::{Finding, State};
use crate::assets::mib;
use crate::config::Config;
use crate::error::Result;
use crate::host::{Availability, HostFacts};
use crate::learnt::Lesson;
use crate::units::MiB;
use crate::vfio;
use std::path::{Path, PathBuf};

/// Room that a run's overlay should have at least.
const OVERLAY_BYTES: u64 = 512 << 20;

pub fn config(config: &Result<Config>, path: &Path) -> Finding {
    match config {
        Err(error) => Finding::broken("config", error),
        Ok(_) if path.exists() => Finding::new("config", State::Ok, path.display().to_string()),
        Ok(_) => Finding::new("config", State::Ok, "the defaults"),
    }
}

pub fn cache(cache: &Path, noexec: bool, writable: bool) -> Finding {
    let path = cache.display();
    let elsewhere = "let XDG_CACHE_HOME name a folder elsewhere";
    if !writable {
        Finding::new("cache", State::Broken, format!("{path} can't be written")).fix(elsewhere)
    } else if noexec {
        let seen = format!("{path} is on a file system that is mounted noexec, and QEMU has to run from it");
        Finding::new("cache", State::Broken, seen).fix(elsewhere)
    } else {
        Finding::new("cache", State::Ok, path.to_string())
    }
}

/// `needed` is what has to be unpacked yet.
pub fn disk(cache: &Path, free: Option<u64>, needed: u64) -> Finding {
    let Some(free) = free else {
        return Finding::new(
            "disk",
            State::Note,
            format!("the free space of {} is not known", cache.display()),
        );
    };
    let seen = format!("{} free at {}", mib(free), cache.display());
    let fix =
        "free some space there, run `virtualghost clean`, or let XDG_CACHE_HOME name a folder elsewhere";
    if free < needed {
        Finding::new("disk", State::Broken, format!("{seen}, {} needed to unpack", mib(needed))).fix(fix)
    } else if free < needed + OVERLAY_BYTES {
        let seen = format!("{seen}: little room for what a guest writes");
        Finding::new("disk", State::Limited, seen).fix(fix)
    } else {
        Finding::new("disk", State::Ok, seen)
    }
}

/// Amounts in MiB; 0 where unknown.
pub fn memory(wanted: MiB, available: u64) -> Finding {
    let seen = format!("{available} MiB can be had, a VM takes up to {wanted} MiB");
    match available {
        0 => Finding::new("memory", State::Note, "how much can be had is not known"),
        _ if wanted.get() > available => Finding::new("memory", State::Limited, seen)
            .fix("end something that takes memory, or take less: --memory, or `memory` in the configuration"),
        _ => Finding::new("memory", State::Ok, seen),
    }
}

pub fn assets(cache: &Path, damaged: &[PathBuf]) -> Finding {
    match damaged {
        [] => Finding::new("assets", State::Ok, format!("every byte in {} is as packed", cache.display())),
        [first, rest @ ..] => {
            let seen = match rest.len() {
                0 => format!("{} is damaged", first.display()),
                more => format!("{} and {more} more are damaged", first.display()),
            };
            Finding::new("assets", State::Broken, seen).fix("virtualghost clean; the next start unpacks anew")
        }
    }
}

pub fn vsock(vsock: &Availability) -> Finding {
    match vsock {
        Availability::Available => Finding::new("vsock", State::Ok, "between host and guest"),
        _ => {
            let because = vsock.doubt().unwrap_or_default();
            let seen = format!("{because}; SSH takes a port of the loopback interface instead");
            Finding { fix: vsock.fix().map(str::to_owned), ..Finding::new("vsock", State::Note, seen) }
        }
    }
}

/// Passthrough is asked for by flag alone: what it lacks limits no other launch.
pub fn passthrough(facts: &HostFacts) -> Vec<Finding> {
    let of = |gpu: &vfio::Function| match vfio::examine(&facts.pci, gpu).refusal(false) {
        None => Finding::new("passthrough", State::Ok, format!("{} can be passed: --gpu {0}", gpu.address)),
        Some(obstacle) => {
            let seen = format!("{}: {obstacle}", gpu.address);
            Finding::new("passthrough", State::Note, seen).fix(obstacle.fix())
        }
    };
    facts.pci.gpus().map(of).collect()
}

pub fn ssh(client: Result<()>) -> Finding {
    match client {
        Ok(()) => Finding::new("ssh", State::Ok, "there is an OpenSSH client"),
        Err(error) => Finding { state: State::Limited, ..Finding::broken("ssh", &error) },
    }
}

pub fn leftovers<'a>(found: impl Iterator<Item = (&'a Path, u64)>) -> Option<Finding> {
    let found: Vec<_> = found.collect();
    let (path, _) = found.first()?;
    let bytes = found.iter().map(|(_, bytes)| bytes).sum();
    let seen = format!("{} of an interrupted start, such as {}", mib(bytes), path.display());
    Some(
        Finding::new("leftovers", State::Note, seen)
            .fix("virtualghost clean; the next start that unpacks does it, too"),
    )
}

pub fn lesson(lesson: &Lesson) -> Finding {
    let seen = format!("{} is not tried: {} (on {})", lesson.rung, lesson.because, lesson.day());
    Finding::new("learnt", State::Note, seen).fix("virtualghost doctor --forget, to have it tried again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_tight_or_good() {
        let state = |free, needed| disk(Path::new("/c"), Some(free), needed).state;
        assert_eq!(state(100 << 20, 400 << 20), State::Broken);
        assert_eq!(state(500 << 20, 400 << 20), State::Limited);
        assert_eq!(state(2 << 30, 400 << 20), State::Ok);
    }

    #[test]
    fn what_stands_in_the_way_of_qemu_is_broken_and_each_has_a_fix() {
        for (noexec, writable) in [(true, true), (false, false)] {
            let finding = cache(Path::new("/c"), noexec, writable);
            assert!(finding.state == State::Broken && finding.fix.is_some(), "{finding}");
        }
        let damaged = assets(Path::new("/c"), &["/c/a".into(), "/c/b".into()]);
        assert!(damaged.state == State::Broken && damaged.seen.contains("and 1 more"), "{damaged}");
        let tight = memory("4096".parse().unwrap(), 1000);
        assert!(tight.state == State::Limited && tight.fix.is_some(), "{tight}");
    }

    #[test]
    fn the_worst_finding_is_the_reports() {
        use super::super::Report;
        let status = |states: &[State]| {
            Report::new(states.iter().map(|&state| Finding::new("x", state, "y")).collect()).status()
        };
        assert_eq!(status(&[]), 0);
        assert_eq!(status(&[State::Note, State::Ok]), 0);
        assert_eq!(status(&[State::Note, State::Limited]), 1);
        assert_eq!(status(&[State::Limited, State::Ok, State::Broken, State::Note]), 2);
    }
}
