//! Why a VM ends, and the result for the launch once QEMU has exited. Pure, a part of the state machine.

use super::classify::{self, Symptom};
use super::{End, StopCause, Tails};
use crate::model::Feature;
use crate::sys::process::Exit;

/// Why the VM ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    PoweredOff,
    Stopped {
        by: StopCause,
    },
    /// The VM was only started to save a checkpoint.
    Saved,
    /// The guest's kernel panicked, or QEMU reports so.
    Panicked,
    FeatureFailed {
        feature: Feature,
        because: String,
    },
    Died {
        reason: String,
    },
}

/// What the guest has shown by the time that QEMU ends.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub ready: bool,
    /// The session was not ready yet, of a guest that reports it.
    pub premature: bool,
    /// The guest has powered itself off, or had nothing to lose yet.
    pub clean: bool,
    pub session_status: Option<i32>,
}

impl Outcome {
    pub fn died(reason: impl Into<String>) -> Self {
        Self::Died { reason: reason.into() }
    }

    /// `reason`: QEMU's, one of ShutdownCause in qapi/run-state.json, but not a panic. `ready`: the session was ready.
    pub fn of_shutdown(reason: &str, ready: bool) -> Self {
        match reason {
            "guest-shutdown" => Self::PoweredOff,
            "guest-reset" if ready => Self::PoweredOff,
            "guest-reset" => Self::died("the guest reset itself while it booted"),
            "host-ui" | "host-qmp-quit" => Self::Stopped { by: StopCause::WindowClosed },
            "host-signal" => Self::died("QEMU was stopped by a signal"),
            other => Self::died(format!("QEMU shut down ({other})")),
        }
    }

    /// QEMU has stopped the VM at a fault of its own, which only an accelerator causes.
    pub fn of_internal_error(features: &[Feature], ready: bool) -> Self {
        match features.iter().find(|feature| feature.is_accelerator()) {
            Some(feature) if !ready => Self::FeatureFailed {
                feature: *feature,
                because: "it stopped with an internal error".to_owned(),
            },
            _ => Self::died("QEMU stopped with an internal error"),
        }
    }

    /// QEMU has ended. A guest whose session was ready proves that all enabled features work.
    pub(super) fn end(self, features: &[Feature], seen: Seen, tails: Tails) -> End {
        let Seen { ready, premature, clean, session_status } = seen;
        match self {
            Self::PoweredOff => End::PoweredOff { session_status, premature, clean },
            Self::Stopped { by } => End::Stopped { by, clean },
            Self::Saved => End::Saved,
            Self::FeatureFailed { feature, because } => End::FeatureFailed { feature, because },
            Self::Died { reason } => End::Died { reason, tails },
            Self::Panicked => match classify::failed_vcpu(&tails.qemu, features) {
                Some((feature, because)) if !ready => End::FeatureFailed { feature, because },
                _ => End::Died { reason: "the guest's kernel panicked".to_owned(), tails },
            },
        }
    }
}

/// The result when QEMU exited without a known reason.
pub(super) fn unforeseen(features: &[Feature], ready: bool, exit: Exit, tails: Tails) -> End {
    let last = tails.qemu.last().map(|line| format!(": {}", classify::message(line)));
    let reason = format!("QEMU {exit}{}", last.unwrap_or_default());
    let crash = || Some((classify::suspect(features, Symptom::Crash)?, reason.clone()));
    // A QEMU that can't read a checkpoint prints an error and exits.
    let failed = classify::classify(&tails.qemu, features)
        .or_else(|| (exit.is_crash() || features.contains(&Feature::Checkpoint)).then(crash).flatten());
    match failed {
        Some((feature, because)) if !ready => End::FeatureFailed { feature, because },
        _ => End::Died { reason, tails },
    }
}
