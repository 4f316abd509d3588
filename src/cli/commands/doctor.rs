//! `virtualghost doctor`: checks whether VMs can run on this machine.

use super::known_failures;
use crate::cli::merged_config;
use crate::cli::output::print;
use crate::config::{Config, Layer};
use crate::doctor::{self, DoctorInput};
use crate::error::{Error, Result};
use crate::host;
use crate::launch::{LaunchPlan, Purpose, Request};
use crate::model::units::VmName;
use crate::payload::{Blobs, Payload};
use crate::sys::Dirs;
use std::process::ExitCode;

/// The status is 1 if something got through that must not, or did not that should.
pub fn boundary() -> Result<ExitCode> {
    let found = doctor::boundary::run()?;
    print(&found)?;
    Ok(ExitCode::from(u8::from(!found.holds())))
}

/// A bad configuration is a finding; everything else is then checked with the defaults.
pub fn run(json: bool, forget: bool, blobs: &'static Blobs) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let config = merged_config(&dirs, &VmName::default(), Layer::default());
    let settings = config.as_ref().map_or_else(|_| Config::merge([]), Config::clone);
    let facts = host::probe().with_pci();
    let embedded = Payload::embedded(blobs);
    let carried = embedded.as_ref().ok().and_then(Option::as_ref);
    let mut known_failures = known_failures(&dirs, &facts, &settings, carried);
    if forget {
        known_failures.forget()?;
        return print("forgot earlier failures; the next start tries everything again");
    }
    let planned = embedded.map_err(Error::from).and_then(|embedded| {
        let request = Request::new(VmName::default(), Purpose::Session);
        LaunchPlan::new(Dirs::find()?, facts.clone(), known_failures.clone(), settings, embedded, request)
    });
    let report = doctor::examine(&DoctorInput {
        facts: &facts,
        config: &config,
        planned: planned.as_ref(),
        dirs: &dirs,
        known_failures: &known_failures,
    });
    if json {
        print(report.json())?
    } else {
        print(&report)?
    };
    Ok(ExitCode::from(report.status()))
}
