//! The checks: pure functions from facts to findings.

use super::{Finding, State};
use crate::config::Config;
use crate::error::Result;
use crate::host::pci::{Function, PciFacts};
use crate::host::{Availability, HostFacts};
use crate::launch::KnownFailure;
use crate::model::units::MemorySize;
use crate::model::{Choice, Jail, Os};
use crate::payload::format_mib;
use crate::vfio::{self, Obstacle};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Minimum free space for what a guest writes.
const OVERLAY_BYTES: u64 = 512 << 20;

pub fn config(config: &Result<Config>, path: &Path) -> Finding {
    match config {
        Err(error) => Finding::broken("config", error),
        Ok(_) if path.exists() => Finding::new("config", State::Ok, path.display().to_string()),
        Ok(_) => Finding::new("config", State::Ok, "no configuration file; using the defaults"),
    }
}

pub fn cache(cache: &Path, noexec: bool, writable: bool) -> Finding {
    let path = cache.display();
    let elsewhere = "set XDG_CACHE_HOME to another folder";
    if !writable {
        Finding::new("cache", State::Broken, format!("{path} is not writable")).fix(elsewhere)
    } else if noexec {
        let seen = format!("{path} is on a file system mounted with noexec, so QEMU can't run from it");
        Finding::new("cache", State::Broken, seen).fix(elsewhere)
    } else {
        Finding::new("cache", State::Ok, path.to_string())
    }
}

/// `needed`: bytes that are not unpacked yet.
pub fn disk(cache: &Path, free: Option<u64>, needed: u64) -> Finding {
    let Some(free) = free else {
        return Finding::new(
            "disk",
            State::Note,
            format!("the free space of {} is unknown", cache.display()),
        );
    };
    let seen = format!("{} free at {}", format_mib(free), cache.display());
    let fix = "free some space there, run `virtualghost clean`, or set XDG_CACHE_HOME to another folder";
    if free < needed {
        Finding::new("disk", State::Broken, format!("{seen}, {} needed to unpack", format_mib(needed)))
            .fix(fix)
    } else if free < needed + OVERLAY_BYTES {
        let seen = format!("{seen}: little space for what a guest writes");
        Finding::new("disk", State::Limited, seen).fix(fix)
    } else {
        Finding::new("disk", State::Ok, seen)
    }
}

/// `available` in MiB, if it is known.
pub fn memory(wanted: MemorySize, available: Option<u64>) -> Finding {
    let Some(available) = available else {
        return Finding::new("memory", State::Note, "the amount of available memory is unknown");
    };
    let seen = format!("{available} MiB available; a VM uses up to {wanted} MiB");
    match available {
        _ if wanted.get() > available => Finding::new("memory", State::Limited, seen)
            .fix("close programs that use memory, or set less: --memory, or `memory` in the configuration"),
        _ => Finding::new("memory", State::Ok, seen),
    }
}

pub fn assets(cache: &Path, damaged: &[PathBuf]) -> Finding {
    match damaged {
        [] => Finding::new("assets", State::Ok, format!("all files in {} verified", cache.display())),
        [first, rest @ ..] => {
            let seen = match rest.len() {
                0 => format!("{} is damaged", first.display()),
                more => format!("{} and {more} more are damaged", first.display()),
            };
            Finding::new("assets", State::Broken, seen)
                .fix("virtualghost clean; the next start unpacks them again")
        }
    }
}

/// `planned`: the jail of the next VM.
pub fn jail(facts: &HostFacts, planned: &Choice<Jail>) -> Finding {
    const OPEN: &str = "QEMU can open all of your files";
    let kernel = facts.jail.obstacle().filter(|_| facts.os == Os::Linux);
    match (planned.value, kernel) {
        (Jail::Off, Some(because)) => {
            let finding = Finding::new("jail", State::Limited, format!("{because}; {OPEN}"));
            Finding { fix: facts.jail.fix().map(str::to_owned), ..finding }
        }
        (Jail::Off, None) => Finding::new("jail", State::Note, format!("{}; {OPEN}", planned.because)),
        (jail, _) => {
            let by = facts.jail_enforcement;
            let seen =
                format!("{jail}, by {by}: QEMU can open what a VM needs (list: virtualghost --dry-run -v)");
            Finding::new("jail", State::Ok, seen)
        }
    }
}

pub fn vsock(vsock: &Availability) -> Finding {
    match vsock {
        Availability::Available => Finding::new("vsock", State::Ok, "available for SSH"),
        _ => {
            let because = vsock.doubt().unwrap_or_default();
            let seen = format!("{because}; SSH uses a private socket of the VM instead");
            Finding { fix: vsock.fix().map(str::to_owned), ..Finding::new("vsock", State::Note, seen) }
        }
    }
}

/// Never worse than a note: a launch without a passed GPU is not affected.
pub fn passthrough(facts: &HostFacts) -> Vec<Finding> {
    let of = |gpu: &Function| match vfio::examine(&facts.pci, gpu).refusal(false) {
        None => Finding::new("passthrough", State::Ok, format!("{} can be passed: --gpu {0}", gpu.address)),
        Some(obstacle) => {
            let seen = format!("{}: {obstacle}", gpu.address);
            Finding::new("passthrough", State::Note, seen).fix(obstacle.fix())
        }
    };
    if facts.os != Os::Linux {
        return vec![Finding::new("passthrough", State::Note, "a GPU can be passed to a VM on Linux only")];
    }
    let mut findings = vec![iommu(&facts.pci)];
    findings.extend(facts.pci.gpus().map(of));
    if facts.pci.gpus().next().is_none() {
        let seen = match facts.pci.functions.len() {
            0 => "there is no PCI bus, so no GPU to pass".to_owned(),
            count => format!("none of the {count} PCI devices is a GPU, so there is none to pass"),
        };
        findings.push(Finding::new("passthrough", State::Note, seen));
    }
    findings
}

fn iommu(pci: &PciFacts) -> Finding {
    let groups: BTreeSet<_> = pci.functions.iter().filter_map(|function| function.group).collect();
    match groups.len() {
        0 => Finding::new("iommu", State::Note, "off, or there is none: no device can be passed")
            .fix(Obstacle::IommuOff { cpu: pci.cpu }.fix()),
        1 => Finding::new("iommu", State::Ok, "on, with 1 group"),
        count => Finding::new("iommu", State::Ok, format!("on, with {count} groups")),
    }
}

pub fn ssh(client: Result<()>) -> Finding {
    match client {
        Ok(()) => Finding::new("ssh", State::Ok, "OpenSSH client found"),
        Err(error) => Finding { state: State::Limited, ..Finding::broken("ssh", &error) },
    }
}

pub fn leftovers<'a>(found: impl Iterator<Item = (&'a Path, u64)>) -> Option<Finding> {
    let found: Vec<_> = found.collect();
    let (path, _) = found.first()?;
    let bytes = found.iter().map(|(_, bytes)| bytes).sum();
    let seen = format!("{} left by an interrupted start, such as {}", format_mib(bytes), path.display());
    Some(
        Finding::new("leftovers", State::Note, seen)
            .fix("virtualghost clean; or wait for the next start that unpacks files, which removes them"),
    )
}

pub fn known_failure(failure: &KnownFailure) -> Finding {
    let seen = format!("{} is skipped: it failed on {}: {}", failure.feature, failure.day(), failure.because);
    Finding::new("known-failure", State::Note, seen).fix("to try it again: virtualghost doctor --forget")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_too_little_little_or_enough_space() {
        let state = |free, needed| disk(Path::new("/c"), Some(free), needed).state;
        assert_eq!(state(100 << 20, 400 << 20), State::Broken);
        assert_eq!(state(500 << 20, 400 << 20), State::Limited);
        assert_eq!(state(2 << 30, 400 << 20), State::Ok);
    }

    #[test]
    fn an_obstacle_to_qemu_is_broken_and_has_a_fix() {
        for (noexec, writable) in [(true, true), (false, false)] {
            let finding = cache(Path::new("/c"), noexec, writable);
            assert!(finding.state == State::Broken && finding.fix.is_some(), "{finding}");
        }
        let damaged = assets(Path::new("/c"), &["/c/a".into(), "/c/b".into()]);
        assert!(damaged.state == State::Broken && damaged.seen.contains("/c/a"), "{damaged}");
        let tight = memory("4096".parse().unwrap(), Some(1000));
        assert!(tight.state == State::Limited && tight.fix.is_some(), "{tight}");
    }

    #[test]
    fn the_worst_finding_decides_the_exit_status() {
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
