//! Whether an accelerator runs a guest: /dev/kvm that opens proves nothing, so a kernel without a disk is started, and
//! ended at its first word.

use super::{Finding, State};
use crate::folders::Folders;
use crate::folders::os::narrow;
use crate::host::{Accelerator, HostFacts, Os};
use crate::launch;
use crate::parts::Parts;
use crate::plan::{Choice, VmSpec};
use crate::qemu;
use crate::supervise::{self, End, Launch, Limits, Rungs, Signals, Stage, Status};
use std::path::Path;
use std::time::Duration;

/// The best accelerator, and TCG where that fails.
pub fn accelerators(facts: &HostFacts, spec: &VmSpec, parts: &Parts, folders: &Folders) -> Vec<Finding> {
    let mut findings = Vec::new();
    let best = facts.accelerator;
    let acceleration = facts.acceleration_of(spec.arch);
    let slow = "a VM runs under TCG instead, which is slow";
    match acceleration.obstacle() {
        Some(because) => {
            let finding = Finding::new("accelerator", State::Limited, format!("{because}; {slow}"));
            findings.push(Finding { fix: acceleration.fix().map(str::to_owned), ..finding });
        }
        None if !parts.are_there(&folders.cache_path()) => {
            findings.push(not_tried(best));
            return findings;
        }
        None => match runs(best, spec, parts, folders) {
            Ok(()) => return vec![Finding::new("accelerator", State::Ok, format!("{best} runs a guest"))],
            Err(because) => findings.push(
                Finding::new(
                    "accelerator",
                    State::Limited,
                    format!("{best} runs no guest: {because}; {slow}"),
                )
                .fix(advice(facts.os, &parts.paths(spec, folders).qemu.path)),
            ),
        },
    }
    findings.push(if !parts.are_there(&folders.cache_path()) {
        not_tried(Accelerator::Tcg)
    } else {
        match runs(Accelerator::Tcg, spec, parts, folders) {
            Ok(()) => Finding::new("accelerator", State::Ok, "TCG runs a guest"),
            Err(because) => {
                Finding::new("accelerator", State::Broken, format!("TCG runs no guest: {because}")).fix(
                    "virtualghost clean; if that does not help, show this to those who built the executable",
                )
            }
        }
    });
    findings
}

fn advice(os: Os, qemu: &Path) -> String {
    match os {
        Os::Linux => {
            "in a VM: nested virtualization has to be on in its host; else look into `dmesg | grep -i kvm`"
                .to_owned()
        }
        Os::MacOs => format!(
            "codesign --display --entitlements - '{}' has to show com.apple.security.hypervisor; `make package-qemu` on a Mac \
             signs it so",
            qemu.display()
        ),
        Os::Windows => "switch the Windows Hypervisor Platform on, and other hypervisors off".to_owned(),
    }
}

fn not_tried(accelerator: Accelerator) -> Finding {
    let seen = format!("{accelerator} is there; no guest was tried, since nothing is unpacked yet");
    Finding::new("accelerator", State::Note, seen)
}

/// # Errors
/// Why it runs none.
fn runs(accelerator: Accelerator, spec: &VmSpec, parts: &Parts, folders: &Folders) -> Result<(), String> {
    let mut spec = spec.clone();
    spec.accelerator = Choice { value: accelerator, because: "it is tried".to_owned() };
    let paths = parts.paths(&spec, folders).named(narrow).map_err(|error| error.to_string())?;
    let channels = launch::channels(&spec);
    let trial = Launch {
        program: paths.qemu.path.clone(),
        args: qemu::trial(&spec, &paths, &channels),
        environment: qemu::environment(&spec, &paths, std::env::vars_os()),
        lock: None,
        channels,
        console_log: None,
        qemu_log: None,
        rungs: Rungs { accelerator: accelerator != Accelerator::Tcg, ..Rungs::default() },
        tells_session: false,
        checkpoint: None,
        limits: Limits { life: Duration::from_secs(30), ..Limits::default() },
    };
    let signals = Signals::default();
    let mut watch = UntilAlive { signals: signals.clone(), alive: false };
    match supervise::run(&trial, &mut watch, &signals) {
        Ok(_) if watch.alive => Ok(()),
        Ok(End::RungFailed { because, .. }) => Err(because),
        Ok(End::Died { reason, .. }) => Err(reason),
        Ok(_) => Err("it ended before its first word".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Ends the guest as soon as it has said something.
struct UntilAlive {
    signals: Signals,
    alive: bool,
}

impl Status for UntilAlive {
    fn stage(&mut self, stage: Stage, _: Duration) {
        if stage == Stage::Kernel {
            self.alive = true;
            // Once is the power button, which a kernel that just begins does not hear.
            self.signals.raise();
            self.signals.raise();
        }
    }

    /// It is ended when it is silent for too long, by anybody's measure.
    fn tick(&mut self, elapsed: Duration) {
        const SILENT: Duration = Duration::from_secs(120);
        if elapsed > SILENT && !self.alive && self.signals.received() < 3 {
            self.signals.raise();
        }
    }

    fn say(&mut self, _: &str) {}
    fn done(&mut self) {}
}
