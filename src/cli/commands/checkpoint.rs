//! `virtualghost checkpoint`: creates the checkpoint that instant starts resume.

use super::launch_plan;
use crate::checkpoint::StartMode;
use crate::cli::args::CheckpointArgs;
use crate::cli::output::print;
use crate::error::{Error, Kind, Result};
use crate::launch::{self, Purpose, Request};
use crate::payload::Blobs;
use crate::sys::files;
use crate::{doctor, instance};
use std::process::ExitCode;

pub fn run(args: &CheckpointArgs, blobs: &'static Blobs) -> Result<ExitCode> {
    let request = Request {
        ephemeral: args.ephemeral,
        ..Request::new(instance::ephemeral_name(), Purpose::Checkpoint)
    };
    let mut plan = launch_plan(args.vm.layer(), request, blobs)?;
    match plan.start_mode() {
        StartMode::Boot { .. } | StartMode::Kept { .. } => {
            let hint = "to force instant starts: `virtualghost checkpoint --start instant`, and `start = \"instant\"` in the configuration";
            let message = format!("no checkpoint created, the next start boots: {}", plan.spec.start.because);
            Err(Error::new(Kind::Failed, message).hint(hint))
        }
        StartMode::Restore { checkpoint, .. } => print(checkpoint.description()),
        StartMode::Save { .. } => {
            files::restrict_umask();
            launch::launch(&mut plan).map_err(|error| error.with_notes(doctor::after_failure(&plan)))
        }
    }
}
