//! What has this process's streams once the session is ready, and ends the VM when it ends: the user's shell, or the program
//! that the VM is for.

use crate::error::{Error, Result};
use crate::remote::exec::{self, Place, Program};
use crate::remote::shown::{self, Output, Shown};
use crate::sys::StopHandle;
use anyhow::Context;
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// The exit status of a program that was not started, as for one that Ctrl-C has ended.
const CANCELLED: u8 = 130;

pub enum Attached {
    Shell(Command),
    Program(Place, Program, ProgramStatus),
}

impl Attached {
    /// Runs it on a thread of its own, and then requests a stop.
    pub fn start(self, stop: StopHandle) {
        std::thread::spawn(move || {
            match self {
                Self::Shell(mut shell) => {
                    let shown = shown::spawn(&mut shell, Output::Filtered).context("can't start ssh");
                    if let Err(e) = shown.map_err(Error::from).and_then(Shown::wait) {
                        tracing::error!("{:#}", e.cause);
                    }
                }
                Self::Program(place, program, ProgramStatus(known)) => {
                    let _ = known.set(exec::run(&place, &program, &stop));
                }
            }
            stop.request();
        });
    }
}

/// The result of a program, once there is one.
#[derive(Clone, Default)]
pub struct ProgramStatus(Arc<OnceLock<Result<u8>>>);

impl ProgramStatus {
    /// Called when the VM has ended.
    pub fn take(self) -> Result<u8> {
        Arc::into_inner(self.0).and_then(OnceLock::into_inner).unwrap_or(Ok(CANCELLED))
    }
}
