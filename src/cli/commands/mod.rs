//! One file per command: arguments in, output out. The work is done by the layers below.

pub mod apply;
pub mod checkpoint;
pub mod clean;
pub mod clone;
pub mod completions;
pub mod config;
pub mod cp;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod gpu;
pub mod logs;
pub mod ls;
pub mod net;
pub mod ports;
pub mod proxy;
pub mod ps;
pub mod rename;
pub mod resume;
pub mod rm;
pub mod run;
pub mod snapshot;
pub mod ssh;
pub mod ssh_config;
pub mod stop;

use super::merged_config;
use crate::config::{Config, GpuChoice, Layer};
use crate::error::Result;
use crate::host::{self, HostFacts};
use crate::instance::{self, RunningVm};
use crate::launch::{KnownFailures, LaunchPlan, Request};
use crate::model::units::VmName;
use crate::payload::{Blobs, Payload, artifacts};
use crate::remote;
use crate::sys::Dirs;

/// Plans the VM of the flags and the configuration. Starts nothing.
fn launch_plan(flags: Layer, request: Request, blobs: &'static Blobs) -> Result<LaunchPlan> {
    let dirs = Dirs::find()?;
    let config = merged_config(&dirs, &request.name, flags)?;
    let mut facts = host::probe();
    if config.gpu.value != GpuChoice::None {
        facts = facts.with_pci();
    }
    let embedded = Payload::embedded(blobs)?;
    let known_failures = known_failures(&dirs, &facts, &config, embedded.as_ref());
    LaunchPlan::new(dirs, facts, known_failures, config, embedded, request)
}

/// Features that failed earlier with the same QEMU.
fn known_failures(
    dirs: &Dirs,
    facts: &HostFacts,
    config: &Config,
    embedded: Option<&Payload>,
) -> KnownFailures {
    let identity = artifacts::identity(&config.qemu.value, embedded);
    KnownFailures::load(&dirs.known_failures_path(), &facts.machine, &identity)
}

/// Finds a running VM, and checks that OpenSSH is installed to connect to it.
fn reachable(name: Option<&VmName>) -> Result<RunningVm> {
    let found = instance::find(&Dirs::find()?.vms_path(), name)?;
    remote::check_client()?;
    Ok(found)
}
