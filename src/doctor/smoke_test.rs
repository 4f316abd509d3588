//! Tests whether an accelerator can run a guest, by starting a kernel without a disk until its first output. (That /dev/kvm
//! opens does not prove it.)

use super::{Finding, State};
use crate::checkpoint::StartMode;
use crate::error::Error;
use crate::host::HostFacts;
use crate::instance::Scratch;
use crate::jail;
use crate::launch::LaunchPlan;
use crate::model::{Accelerator, Choice, Feature, Os};
use crate::qemu;
use crate::supervise::{End, Launch, Limits, Stage, Vm, VmEvent};
use crate::sys::StopHandle;
use crate::sys::files::qemu_safe_path;
use std::path::Path;
use std::time::Duration;

/// Tests the best accelerator, and TCG if that fails.
pub fn accelerators(facts: &HostFacts, plan: &LaunchPlan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let best = facts.accelerator;
    let acceleration = facts.acceleration_of(plan.spec.arch);
    let slow = "VMs use TCG instead, which is slow";
    match acceleration.obstacle() {
        Some(because) => {
            let finding = Finding::new("accelerator", State::Limited, format!("{because}; {slow}"));
            findings.push(Finding { fix: acceleration.fix().map(str::to_owned), ..finding });
        }
        None if !plan.artifacts.are_installed() => {
            findings.push(not_tested(best));
            return findings;
        }
        None => match runs(best, plan) {
            Ok(()) => return vec![Finding::new("accelerator", State::Ok, format!("{best} can run a guest"))],
            Err(because) => findings.push(
                Finding::new(
                    "accelerator",
                    State::Limited,
                    format!("cannot run a guest with {best}: {because}; {slow}"),
                )
                .fix(fix(facts.os, plan.artifacts.qemu_path())),
            ),
        },
    }
    findings.push(if !plan.artifacts.are_installed() {
        not_tested(Accelerator::Tcg)
    } else {
        match runs(Accelerator::Tcg, plan) {
            Ok(()) => Finding::new("accelerator", State::Ok, "TCG can run a guest"),
            Err(because) => {
                let seen = format!("cannot run a guest with TCG: {because}");
                Finding::new("accelerator", State::Broken, seen)
                    .fix("virtualghost clean; if that does not help, report this output to the authors of the executable")
            }
        }
    });
    findings
}

fn fix(os: Os, qemu: &Path) -> String {
    match os {
        Os::Linux => "in a VM: enable nested virtualization on its host; otherwise see `dmesg | grep -i kvm`"
            .to_owned(),
        Os::MacOs => format!(
            "`codesign --display --entitlements - '{}'` must print com.apple.security.hypervisor; `make package-qemu` on a \
             Mac signs QEMU with it",
            qemu.display()
        ),
        Os::Windows => "enable the Windows Hypervisor Platform, and disable other hypervisors".to_owned(),
    }
}

fn not_tested(accelerator: Accelerator) -> Finding {
    let seen =
        format!("{accelerator} is available; not tested with a guest, because nothing is unpacked yet");
    Finding::new("accelerator", State::Note, seen)
}

/// # Errors
/// Why it cannot run a guest.
fn runs(accelerator: Accelerator, plan: &LaunchPlan) -> Result<(), String> {
    let mut spec = plan.spec.clone();
    spec.accelerator = Choice::new(accelerator, "under test");
    let text = |error: Error| error.to_string();
    let _scratch = Scratch::make(&plan.dirs.overlay_path()).map_err(text)?;
    plan.artifacts.unpack_kernel(&plan.dirs).map_err(text)?;
    let paths = plan
        .paths(&StartMode::new(None, &plan.dirs))
        .map_paths(qemu_safe_path)
        .map_err(|error| error.to_string())?;
    let channels = qemu::channels(&spec, plan.unique);
    let environment = qemu::environment(&spec, &paths, std::env::vars_os());
    let launch = Launch {
        program: paths.qemu.path.clone(),
        args: qemu::smoke_test(&spec, &paths, &channels),
        jail: jail::policy(&spec, &paths, &environment),
        scope: None,
        environment,
        lock: None,
        channels,
        card: None,
        shares: Vec::new(),
        keys: Vec::new(),
        console_log: None,
        qemu_log: None,
        features: (accelerator != Accelerator::Tcg)
            .then_some(Feature::Accelerator(accelerator))
            .into_iter()
            .collect(),
        reports_session: false,
        checkpoint: None,
        limits: Limits { boot: Duration::from_secs(30), ..Limits::default() },
    };
    run_until_output(&launch)
}

/// Stops the guest as soon as its kernel has printed something.
///
/// # Errors
/// Why it printed nothing.
fn run_until_output(launch: &Launch) -> Result<(), String> {
    const TIMEOUT: Duration = Duration::from_secs(120);
    let stop = StopHandle::default();
    let mut has_output = false;
    let mut vm = Vm::start(launch, &stop).map_err(|error| format!("{error:#}"))?;
    while let Some(event) = vm.next_event().map_err(|error| format!("{error:#}"))? {
        match event {
            // By force: a kernel that just starts does not handle its power button yet.
            VmEvent::Stage { stage: Stage::Kernel, .. } => {
                has_output = true;
                stop.force();
            }
            VmEvent::Tick(elapsed) if elapsed > TIMEOUT => stop.force(),
            _ => {}
        }
    }
    match vm.end() {
        _ if has_output => Ok(()),
        End::FeatureFailed { because, .. } => Err(because),
        End::Died { reason, .. } => Err(reason),
        _ => Err("it ended before its first output".to_owned()),
    }
}

#[cfg(all(test, unix))]
#[path = "smoke_test_texts.rs"]
mod texts;
