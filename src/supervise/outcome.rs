//! Why a VM ends, and what the launch makes of it when QEMU has ended. Pure, a part of the machine.

use super::failure::{self, Failure, Rungs, Symptom};
use super::{End, Exit, StopCause, Tails};

/// Why the VM ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    PoweredOff,
    Stopped {
        by: StopCause,
        clean: bool,
    },
    /// It was only to be saved.
    Saved,
    /// The guest's kernel, or so it looks.
    Panicked,
    RungFailed {
        failure: Failure,
        because: String,
    },
    Died {
        reason: String,
    },
}

impl Outcome {
    pub fn died(reason: impl Into<String>) -> Self {
        Self::Died { reason: reason.into() }
    }

    /// QEMU has ended, after this was seen. A guest that was `ready` has shown that every rung bears.
    pub(super) fn end(self, rungs: Rungs, ready: bool, session_status: Option<i32>, tails: Tails) -> End {
        match self {
            Self::PoweredOff => End::PoweredOff { session_status },
            Self::Stopped { by, clean } => End::Stopped { by, clean },
            Self::Saved => End::Saved,
            Self::RungFailed { failure, because } => End::RungFailed { failure, because, tails },
            Self::Died { reason } => End::Died { reason, tails },
            Self::Panicked => match failure::of_vcpu(&tails.qemu, rungs) {
                Some(because) if !ready => End::RungFailed { failure: Failure::Accelerator, because, tails },
                _ => End::Died { reason: "the guest's kernel panicked".to_owned(), tails },
            },
        }
    }
}

/// QEMU has ended, and nothing told why.
pub(super) fn unforeseen(rungs: Rungs, ready: bool, exit: Exit, tails: Tails) -> End {
    let last = tails.qemu.last().map(|line| format!(": {}", failure::said(line)));
    let reason = format!("QEMU {exit}{}", last.unwrap_or_default());
    let crash = || Some((rungs.suspect(Symptom::Crash)?, reason.clone()));
    // A QEMU that can't read a saved VM says so and ends.
    let failed = failure::classify(&tails.qemu, rungs)
        .or_else(|| (exit.is_crash() || rungs.checkpoint).then(crash).flatten());
    match failed {
        Some((failure, because)) if !ready => End::RungFailed { failure, because, tails },
        _ => End::Died { reason, tails },
    }
}
