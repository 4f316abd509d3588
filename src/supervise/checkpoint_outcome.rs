//! What the state machine does with the outcome of a checkpoint's step.

use super::classify::Symptom;
use super::outcome::Outcome;
use super::state_machine::{Action, StateMachine, notice};
use super::{Stage, VmEvent};
use crate::checkpoint::StepOutcome;
use std::time::Instant;

impl StateMachine {
    pub(super) fn on_checkpoint(&mut self, outcome: StepOutcome, now: Instant) -> Vec<Action> {
        let (mut actions, next) = match outcome {
            StepOutcome::Next(command) => return vec![Action::Send(command)],
            StepOutcome::Resumed(identity) => return vec![Action::SendIdentity(identity)],
            StepOutcome::Lost(because) => {
                return self.gives_up(
                    Symptom::NoSession,
                    format!("restoring the checkpoint failed: {because}"),
                    now,
                );
            }
            StepOutcome::Restored(next) => (self.reach(Stage::Services), next),
            StepOutcome::Saved(next) => (vec![Action::Emit(VmEvent::CheckpointSaved)], next),
            StepOutcome::NotSaved(because, None) => {
                self.ends_as(Outcome::died(format!("saving the checkpoint failed: {because}")));
                (vec![], None)
            }
            StepOutcome::NotSaved(because, next) => {
                (vec![notice(format!("saving a checkpoint for the next start failed: {because}"))], next)
            }
        };
        match next {
            Some(command) => actions.push(Action::Send(command)),
            None => {
                self.ends_as(Outcome::Saved);
                actions.extend(self.quit(now));
            }
        }
        actions
    }
}
