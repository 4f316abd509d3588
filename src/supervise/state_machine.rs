//! What to do, decided from what happened. Pure: no process, no file, and the time is an argument.
//!
//! A VM is in `Greeting` or `Running` until there is an [`Outcome`]; from then on the [`StopSteps`] stop QEMU, each with a
//! time limit, and only the end of the process ends the state machine.
//!
//! ```text
//!             greeting, then the             stop requested, power button in the window,
//!             answer to capabilities         session-exit
//!  ┌──────────┐            ┌─────────┐            ┌───────────┐
//!  │ Greeting │───────────►│ Running │───────────►│ Powerdown │ ACPI power button, pressed again
//!  └────┬─────┘            └────┬────┘            └─────┬─────┘ every PRESS until the guest reacts
//!       │ stop requested,       │ SHUTDOWN (QEMU        │ SHUTDOWN, or poweroff limit,
//!       │ no greeting in `boot` │ is paused then),      │ or stop requested again
//!       │                       │ panic, internal-error,▼
//!       │                       │ no console    ┌───────────────┐
//!       └───────────────────────┴──────────────►│ Quit          │ QMP quit; without QMP straight on
//!                                               └───────┬───────┘
//!                                                       │ quit limit, or stop requested again
//!                                                       ▼
//!                                               ┌───────────────┐
//!          (from anywhere: the process ended)   │ Kill          │ SIGKILL
//!                                               └───────────────┘
//! ```

use super::classify::{Symptom, suspect};
use super::outcome::{self, Outcome, Seen};
use super::stop_steps::StopSteps;
use super::{End, Limits, Stage, StopCause, Tails, VmEvent};
use crate::checkpoint::{CheckpointPlan, CheckpointSteps};
use crate::model::Feature;
use crate::protocol::{GuestEvent, GuestIdentity};
use crate::qemu::qmp::{Command, Message};
use crate::sys::process::Exit;
use std::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Qmp(Message),
    /// QEMU closed its end of QMP: it is about to exit.
    QmpClosed,
    /// The first output of the guest.
    ConsoleByte,
    /// systemd's welcome line.
    Welcome,
    Guest(GuestEvent),
    /// Ctrl-C, SIGTERM, SIGHUP.
    StopRequested,
    /// Stop at once, without waiting for the guest.
    StopForced,
    /// The VM was paused by a full disk, and there is space again.
    ResumeRequested,
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send(Command),
    /// SIGKILL
    Kill,
    /// The start has reached this stage.
    Reach(Stage),
    Emit(VmEvent),
    SendIdentity(GuestIdentity),
    /// The guest gets the keys that were pressed so far, and from now on each at once.
    ReleaseKeys,
}

pub struct StateMachine {
    limits: Limits,
    features: Vec<Feature>,
    reports_session: bool,
    /// When the limits began: QEMU's start, and later by the time for which the VM was paused.
    started: Instant,
    stage: Stage,
    /// QEMU accepts QMP commands.
    commands: bool,
    qmp_closed: Option<Instant>,
    asked_status: bool,
    /// A limit has expired, the user was notified, and there is no fallback left.
    given_up_waiting: bool,
    session_status: Option<i32>,
    /// The guest has powered itself off: its disks are written.
    powered_off: bool,
    /// When QEMU paused the VM, as the host's disk is full.
    paused: Option<Instant>,
    checkpoint: Option<CheckpointSteps>,
    outcome: Option<Outcome>,
    stop: StopSteps,
}

impl StateMachine {
    pub fn new(
        limits: Limits,
        features: Vec<Feature>,
        reports_session: bool,
        checkpoint: Option<CheckpointPlan>,
        started: Instant,
    ) -> Self {
        Self {
            checkpoint: checkpoint.map(CheckpointSteps::new),
            stop: StopSteps::new(limits),
            limits,
            features,
            reports_session,
            started,
            stage: Stage::Qemu,
            commands: false,
            qmp_closed: None,
            asked_status: false,
            given_up_waiting: false,
            session_status: None,
            powered_off: false,
            paused: None,
            outcome: None,
        }
    }

    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Qmp(message) => self.on_qmp(message, now),
            Event::QmpClosed => {
                self.commands = false;
                self.qmp_closed = Some(now);
                vec![]
            }
            Event::ConsoleByte => self.reach(Stage::Kernel),
            Event::Welcome => self.reach(Stage::Services),
            Event::Guest(GuestEvent::Checkpoint) => {
                let first = self.checkpoint.as_mut().and_then(CheckpointSteps::arrived);
                first.map(Action::Send).into_iter().collect()
            }
            Event::Guest(GuestEvent::SessionReady) => {
                let mut actions = self.reach(Stage::Ready);
                actions.push(Action::ReleaseKeys);
                actions
            }
            Event::Guest(GuestEvent::SessionExit { status }) => {
                self.session_status.get_or_insert(status);
                // The guest powers off now; if it fails to, the stop steps follow.
                self.ends_as(Outcome::PoweredOff);
                self.stop.wait_for_poweroff(now);
                vec![]
            }
            Event::Guest(GuestEvent::TerminalSize { columns, rows }) => {
                vec![Action::Emit(VmEvent::TerminalSize { columns, rows })]
            }
            Event::Guest(GuestEvent::Listening(ports)) => vec![Action::Emit(VmEvent::Listening(ports))],
            Event::Guest(GuestEvent::Failed { message }) => self.on_failed(&message, now),
            Event::Guest(GuestEvent::Notice { message }) => {
                vec![notice(format!("the guest: {message}"))]
            }
            Event::Guest(GuestEvent::Log { .. } | GuestEvent::TimeQuestion { .. }) => vec![],
            Event::StopRequested => self.on_stop_requested(now),
            Event::StopForced => {
                self.ends_as(Outcome::Stopped { by: StopCause::Signal });
                self.quit(now)
            }
            Event::ResumeRequested if self.paused.is_some() => vec![Action::Send(Command::Continue)],
            Event::ResumeRequested => vec![],
            Event::Tick => self.on_tick(now),
        }
    }

    /// The latest time for the next [`Event::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        if self.stop.have_begun() {
            return self.stop.deadline(self.commands);
        }
        self.awaited().map(|(_, until)| until).into_iter().chain(self.closed_deadline()).min()
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the VM is being stopped, for whatever reason.
    pub fn is_ending(&self) -> bool {
        self.stop.have_begun()
    }

    /// The process has ended.
    pub(super) fn end(self, exit: Exit, tails: Tails) -> End {
        let seen = Seen {
            ready: self.stage == Stage::Ready,
            premature: self.reports_session && self.stage != Stage::Ready,
            // Before the kernel runs there is nothing to lose.
            clean: self.powered_off || self.stage == Stage::Qemu,
            session_status: self.session_status,
        };
        match self.outcome {
            Some(outcome) => outcome.end(&self.features, seen, tails),
            None => outcome::unforeseen(&self.features, seen.ready, exit, tails),
        }
    }

    fn on_qmp(&mut self, message: Message, now: Instant) -> Vec<Action> {
        match message {
            Message::Greeting => vec![Action::Send(Command::Capabilities)],
            // QEMU sends no events before this, so it may have stopped already.
            Message::Negotiated => {
                self.commands = true;
                let mut actions = self.ask_status();
                actions.push(Action::Send(Command::UserNetwork));
                actions
                    .extend(self.checkpoint.as_mut().and_then(CheckpointSteps::negotiated).map(Action::Send));
                actions
            }
            Message::Done(_) | Message::Refused(..) | Message::Migration(_) => {
                let outcome = self.checkpoint.as_mut().and_then(|checkpoint| checkpoint.on(&message));
                outcome.map_or(vec![], |outcome| self.on_checkpoint(outcome, now))
            }
            Message::Forwarded { port } => vec![Action::Emit(VmEvent::AgentPort(port))],
            // A pause from the window's menu is no failure, so ask for the reason.
            Message::Stop => self.ask_status(),
            Message::Resume => self.on_resume(now),
            Message::Status(status) => self.on_status(&status, now),
            Message::Powerdown if self.stop.has_pressed() || self.outcome.is_some() => vec![],
            // The launcher did not press the button, so it was the window.
            Message::Powerdown => {
                self.ends_as(Outcome::Stopped { by: StopCause::WindowClosed });
                if self.stage == Stage::Qemu {
                    return self.quit(now);
                }
                self.stop.wait_for_poweroff(now);
                vec![]
            }
            Message::Panicked => self.panicked(now),
            Message::Shutdown { reason } => self.on_shutdown(&reason, now),
        }
    }

    fn on_failed(&mut self, message: &str, now: Instant) -> Vec<Action> {
        if self.stage != Stage::Ready {
            let because = format!("the guest could not start a session: {message}");
            return self.gives_up(Symptom::NoSession, because, now);
        }
        self.ends_as(Outcome::died(format!("the session failed: {message}")));
        // As after a session that has ended: the guest writes its disks, and powers off.
        self.stop.wait_for_poweroff(now);
        vec![]
    }

    fn ask_status(&mut self) -> Vec<Action> {
        if self.outcome.is_some() || std::mem::replace(&mut self.asked_status, true) {
            return vec![];
        }
        vec![Action::Send(Command::Status)]
    }

    fn on_status(&mut self, status: &str, now: Instant) -> Vec<Action> {
        self.asked_status = false;
        let outcome = match status {
            "internal-error" => Outcome::of_internal_error(&self.features, self.stage == Stage::Ready),
            // With werror=enospc, the default, QEMU pauses a VM for this alone (qemu(1), -drive).
            "io-error" => {
                self.paused = Some(now);
                return vec![Action::Emit(VmEvent::Paused)];
            }
            "guest-panicked" => return self.panicked(now),
            "shutdown" => {
                self.powered_off = true;
                Outcome::PoweredOff
            }
            _ => return vec![],
        };
        self.ends_as(outcome);
        self.quit(now)
    }

    fn on_resume(&mut self, now: Instant) -> Vec<Action> {
        let Some(paused) = self.paused.take() else { return vec![] };
        // A guest that stands still reaches nothing.
        self.started += now - paused;
        vec![Action::Emit(VmEvent::Resumed)]
    }

    fn on_shutdown(&mut self, reason: &str, now: Instant) -> Vec<Action> {
        if reason == "guest-panic" {
            return self.panicked(now);
        }
        let outcome = Outcome::of_shutdown(reason, self.stage == Stage::Ready);
        self.powered_off |= outcome == Outcome::PoweredOff;
        self.ends_as(outcome);
        self.quit(now)
    }

    /// Replaces an outcome such as a power-off: after a panic, data may be lost.
    fn panicked(&mut self, now: Instant) -> Vec<Action> {
        if !matches!(self.outcome, Some(Outcome::Stopped { .. })) {
            self.outcome = Some(Outcome::Panicked);
        }
        self.quit(now)
    }

    fn on_stop_requested(&mut self, now: Instant) -> Vec<Action> {
        self.ends_as(Outcome::Stopped { by: StopCause::Signal });
        // Before the kernel runs, the button has no effect, and no data can be lost.
        if self.stop.have_begun() || !self.commands || self.stage == Stage::Qemu {
            return self.stop.hurry(self.commands, now);
        }
        let resume = self.paused.map(|_| Action::Send(Command::Continue));
        let power_down = [self.stop.power_down(now), notice("shutting down; press Ctrl-C again to force")];
        resume.into_iter().chain(power_down).collect()
    }

    fn on_tick(&mut self, now: Instant) -> Vec<Action> {
        if self.stop.have_begun() {
            return self.stop.tick(self.commands, now);
        }
        if self.closed_deadline().is_some_and(|at| now >= at) {
            self.ends_as(Outcome::died("QEMU closed its control channel and did not exit"));
            return self.quit(now);
        }
        match self.awaited() {
            Some((symptom, until)) if now >= until => self.overdue(symptom, now),
            _ => vec![],
        }
    }

    /// The next limit: when it expires, and the symptom if it does.
    fn awaited(&self) -> Option<(Symptom, Instant)> {
        if self.qmp_closed.is_some() || self.given_up_waiting || self.paused.is_some() {
            None
        } else if !self.commands {
            Some((Symptom::NoAnswer, self.started + self.limits.boot))
        } else if self.stage == Stage::Qemu {
            Some((Symptom::NoConsole, self.started + self.limits.boot))
        } else if self.reports_session && self.stage != Stage::Ready {
            Some((Symptom::NoSession, self.started + self.limits.ready))
        } else {
            None
        }
    }

    fn overdue(&mut self, symptom: Symptom, now: Instant) -> Vec<Action> {
        let because = symptom.text(&self.limits);
        if symptom != Symptom::NoAnswer && suspect(&self.features, symptom).is_none() {
            // No fallback is left, and a slow guest is better than none.
            self.given_up_waiting = true;
            return vec![Action::ReleaseKeys, notice(format!("{because}; press Ctrl-C to stop"))];
        }
        self.gives_up(symptom, because, now)
    }

    /// Ends this start: because of a feature that has a fallback, or for good.
    pub(super) fn gives_up(&mut self, symptom: Symptom, because: String, now: Instant) -> Vec<Action> {
        let suspect = suspect(&self.features, symptom).filter(|_| self.stage != Stage::Ready);
        self.ends_as(match suspect {
            Some(feature) => Outcome::FeatureFailed { feature, because },
            None => Outcome::died(because),
        });
        self.quit(now)
    }

    fn closed_deadline(&self) -> Option<Instant> {
        self.qmp_closed.map(|at| at + self.limits.quit)
    }

    pub(super) fn reach(&mut self, stage: Stage) -> Vec<Action> {
        if stage <= self.stage {
            return vec![];
        }
        self.stage = stage;
        vec![Action::Reach(stage)]
    }

    /// The first outcome stands.
    pub(super) fn ends_as(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    pub(super) fn quit(&mut self, now: Instant) -> Vec<Action> {
        self.stop.quit(self.commands, now)
    }
}

pub(super) fn notice(sentence: impl Into<String>) -> Action {
    Action::Emit(VmEvent::Notice(sentence.into()))
}

#[cfg(test)]
#[path = "state_machine_tests/mod.rs"]
mod tests;
