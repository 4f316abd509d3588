//! What to do, decided from what happened. Pure: no process, no file, and the time is an argument.
//!
//! A VM lives in `Greeting` and `Running` until there is an [`Outcome`]; from then on the ladder ends
//! QEMU, each rung with a time limit, and only the end of the process ends the machine.
//!
//! ```text
//!             greeting, then the             stop asked for, power button in the window,
//!             answer to capabilities         session-exit
//!  ┌──────────┐            ┌─────────┐            ┌───────────┐
//!  │ Greeting │───────────►│ Running │───────────►│ Powerdown │ ACPI power button, pressed again
//!  └────┬─────┘            └────┬────┘            └─────┬─────┘ each PRESS until the guest listens
//!       │ stop asked for,       │ SHUTDOWN (QEMU        │ SHUTDOWN, or poweroff limit,
//!       │ no greeting in `life` │ is paused then),      │ or stop asked for again
//!       │                       │ panic, internal-error,▼
//!       │                       │ no console    ┌───────────────┐
//!       └───────────────────────┴──────────────►│ Quit          │ QMP quit; SIGTERM without QMP
//!                                               └───────┬───────┘
//!                                                       │ quit limit, or stop asked for again
//!                                                       ▼
//!                                               ┌───────────────┐
//!          (from anywhere: the process ended)   │ Kill          │ SIGKILL
//!                                               └───────────────┘
//! ```

use super::checkpoint::{self, Checkpoint, Progress};
use super::control::{Entry, Report};
use super::failure::{Failure, Rungs, Symptom};
use super::outcome::{self, Outcome};
use super::qmp::{Command, Message};
use super::{End, Exit, Limits, Stage, StopCause, Tails};
use std::time::{Duration, Instant};

/// A guest that is still booting does not hear its power button, so it is pressed again.
const PRESS: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Qmp(Message),
    /// QEMU closed its end of QMP: it is about to end.
    QmpClosed,
    /// The guest's first sign of life.
    ConsoleByte,
    /// systemd's first words.
    Welcome,
    Control(Report),
    /// Ctrl-C, SIGTERM, SIGHUP.
    StopAsked,
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send(Command),
    /// SIGTERM
    Terminate,
    /// SIGKILL
    Kill,
    Stage(Stage),
    /// The guest's agent is behind this port of the loopback interface.
    Reachable(u16),
    TerminalSize {
        columns: u16,
        rows: u16,
    },
    /// A sentence for the user.
    Say(String),
    /// The VM is saved.
    Saved,
    /// Tell the guest who it is.
    Enter(Entry),
}

/// The ladder that ends QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Powerdown { next_press: Instant },
    Quit,
    Kill,
}

pub struct Machine {
    limits: Limits,
    rungs: Rungs,
    tells_session: bool,
    started: Instant,
    stage: Stage,
    /// QEMU takes QMP commands.
    commands: bool,
    qmp_closed: Option<Instant>,
    asked_status: bool,
    /// The power button was pressed by us.
    pressed: bool,
    /// The guest takes too long, and the user knows it.
    given_up_waiting: bool,
    session_status: Option<i32>,
    checkpoint: Option<Progress>,
    outcome: Option<Outcome>,
    rung: Option<(Rung, Instant)>,
}

impl Machine {
    pub fn new(
        limits: Limits,
        rungs: Rungs,
        tells_session: bool,
        checkpoint: Option<Checkpoint>,
        started: Instant,
    ) -> Self {
        Self {
            checkpoint: checkpoint.map(Progress::new),
            limits,
            rungs,
            tells_session,
            started,
            stage: Stage::Qemu,
            commands: false,
            qmp_closed: None,
            asked_status: false,
            pressed: false,
            given_up_waiting: false,
            session_status: None,
            outcome: None,
            rung: None,
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
            Event::Control(Report::Checkpoint) => {
                let first = self.checkpoint.as_mut().and_then(Progress::arrived);
                first.map(Action::Send).into_iter().collect()
            }
            Event::Control(Report::SessionReady) => self.reach(Stage::Ready),
            Event::Control(Report::SessionExit { status }) => {
                self.session_status.get_or_insert(status);
                // The guest powers itself off now; if it can't, the ladder does.
                self.ends_as(Outcome::PoweredOff);
                self.wait_for_poweroff(now);
                vec![]
            }
            Event::Control(Report::TerminalSize { columns, rows }) => {
                vec![Action::TerminalSize { columns, rows }]
            }
            Event::Control(Report::Failed { message }) => {
                let because = format!("the guest can't open a session: {message}");
                self.gives_up(Symptom::NoSession, because, now)
            }
            Event::Control(Report::Notice { message }) => vec![Action::Say(format!("the guest: {message}"))],
            Event::Control(Report::Log { .. }) => vec![],
            Event::StopAsked => self.on_stop_asked(now),
            Event::Tick => self.on_tick(now),
        }
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.rung {
            Some((Rung::Powerdown { next_press }, until)) => Some(until.min(next_press)),
            Some((Rung::Quit, until)) => Some(until),
            Some((Rung::Kill, _)) => None,
            None => self.awaited().map(|(_, until)| until).into_iter().chain(self.closed_deadline()).min(),
        }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The VM is being ended, by whomever.
    pub fn is_ending(&self) -> bool {
        self.rung.is_some()
    }

    /// The process has ended.
    pub(super) fn end(self, exit: Exit, tails: Tails) -> End {
        let ready = self.stage == Stage::Ready;
        match self.outcome {
            Some(outcome) => outcome.end(self.rungs, ready, self.session_status, tails),
            None => outcome::unforeseen(self.rungs, ready, exit, tails),
        }
    }

    fn on_qmp(&mut self, message: Message, now: Instant) -> Vec<Action> {
        match message {
            Message::Greeting => vec![Action::Send(Command::Capabilities)],
            // QEMU sends no events before, so it may have stopped unheard.
            Message::Negotiated => {
                self.commands = true;
                let mut actions = self.ask_status();
                actions.push(Action::Send(Command::UserNetwork));
                actions.extend(self.checkpoint.as_mut().and_then(Progress::negotiated).map(Action::Send));
                actions
            }
            Message::Done(_) | Message::Refused(..) | Message::Migration(_) => {
                let outcome = self.checkpoint.as_mut().and_then(|checkpoint| checkpoint.on(&message));
                outcome.map_or(vec![], |outcome| self.on_checkpoint(outcome, now))
            }
            Message::Forwarded { port } => vec![Action::Reachable(port)],
            // A pause asked for in the window is no failure: why it stopped decides.
            Message::Stop => self.ask_status(),
            Message::Status(status) => self.on_status(&status, now),
            Message::Powerdown if self.pressed || self.outcome.is_some() => vec![],
            // Nobody asked over QMP, so it was the window.
            Message::Powerdown => {
                self.ends_as(Outcome::Stopped { by: StopCause::WindowClosed, clean: false });
                if self.stage == Stage::Qemu {
                    return self.climb(Rung::Quit, now);
                }
                self.wait_for_poweroff(now);
                vec![]
            }
            Message::Panicked => self.panicked(now),
            Message::Shutdown { reason } => self.on_shutdown(&reason, now),
        }
    }

    fn on_checkpoint(&mut self, outcome: checkpoint::Outcome, now: Instant) -> Vec<Action> {
        let (mut actions, next) = match outcome {
            checkpoint::Outcome::Next(command) => return vec![Action::Send(command)],
            checkpoint::Outcome::Entered(entry) => return vec![Action::Enter(entry)],
            checkpoint::Outcome::Lost(because) => {
                return self.gives_up(
                    Symptom::NoSession,
                    format!("the saved VM does not start: {because}"),
                    now,
                );
            }
            checkpoint::Outcome::Restored(next) => (self.reach(Stage::Services), next),
            checkpoint::Outcome::Saved(next) => (vec![Action::Saved], next),
            checkpoint::Outcome::NotSaved(because, None) => {
                self.ends_as(Outcome::died(format!("the VM can't be saved: {because}")));
                (vec![], None)
            }
            checkpoint::Outcome::NotSaved(because, next) => {
                (vec![Action::Say(format!("the VM can't be saved for the next start: {because}"))], next)
            }
        };
        match next {
            Some(command) => actions.push(Action::Send(command)),
            None => {
                self.ends_as(Outcome::Saved);
                actions.extend(self.climb(Rung::Quit, now));
            }
        }
        actions
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
            "internal-error" if self.rungs.accelerator && self.stage != Stage::Ready => Outcome::RungFailed {
                failure: Failure::Accelerator,
                because: "the processor's virtualization stopped at an internal error".to_owned(),
            },
            "internal-error" => Outcome::died("QEMU stopped at an internal error"),
            "io-error" => Outcome::died("QEMU can't write the VM's disk (is the host's disk full?)"),
            "guest-panicked" => return self.panicked(now),
            "shutdown" => Outcome::PoweredOff,
            _ => return vec![],
        };
        self.ends_as(outcome);
        self.climb(Rung::Quit, now)
    }

    /// QEMU's reasons: ShutdownCause of qapi/run-state.json.
    fn on_shutdown(&mut self, reason: &str, now: Instant) -> Vec<Action> {
        match reason {
            "guest-shutdown" => self.powered_off(),
            "guest-reset" if self.stage == Stage::Ready => self.powered_off(),
            "guest-reset" => self.ends_as(Outcome::died("the guest reset itself while it booted")),
            "guest-panic" => return self.panicked(now),
            "host-ui" | "host-qmp-quit" => {
                self.ends_as(Outcome::Stopped { by: StopCause::WindowClosed, clean: false });
            }
            "host-signal" => self.ends_as(Outcome::died("QEMU was ended by a signal from outside")),
            other => self.ends_as(Outcome::died(format!("QEMU shut down ({other})"))),
        }
        self.climb(Rung::Quit, now)
    }

    fn powered_off(&mut self) {
        match &mut self.outcome {
            Some(Outcome::Stopped { clean, .. }) => *clean = true,
            _ => self.ends_as(Outcome::PoweredOff),
        }
    }

    /// Weighs more than that the session had ended: something may be lost.
    fn panicked(&mut self, now: Instant) -> Vec<Action> {
        if !matches!(self.outcome, Some(Outcome::Stopped { .. })) {
            self.outcome = Some(Outcome::Panicked);
        }
        self.climb(Rung::Quit, now)
    }

    fn on_stop_asked(&mut self, now: Instant) -> Vec<Action> {
        self.ends_as(Outcome::Stopped { by: StopCause::Signal, clean: false });
        match self.rung {
            // Before the kernel runs there is nobody to hear the button, and nothing to lose.
            None if self.commands && self.stage > Stage::Qemu => {
                self.pressed = true;
                self.wait_for_poweroff(now);
                vec![
                    Action::Send(Command::Powerdown),
                    Action::Say("the VM powers off; once more to stop it at once".to_owned()),
                ]
            }
            None | Some((Rung::Powerdown { .. }, _)) => self.climb(Rung::Quit, now),
            Some((Rung::Quit, _)) => self.climb(Rung::Kill, now),
            Some((Rung::Kill, _)) => vec![],
        }
    }

    fn on_tick(&mut self, now: Instant) -> Vec<Action> {
        match self.rung {
            Some((Rung::Powerdown { .. }, until)) if now >= until => {
                let mut actions = self.climb(Rung::Quit, now);
                actions.push(Action::Say("the VM did not power off in time; it is stopped".to_owned()));
                actions
            }
            Some((Rung::Powerdown { next_press }, until)) if now >= next_press && self.commands => {
                self.pressed = true;
                self.rung = Some((Rung::Powerdown { next_press: now + PRESS }, until));
                vec![Action::Send(Command::Powerdown)]
            }
            Some((Rung::Quit, until)) if now >= until => self.climb(Rung::Kill, now),
            Some(_) => vec![],
            None if self.closed_deadline().is_some_and(|at| now >= at) => {
                self.ends_as(Outcome::died("QEMU closed its control channel and does not end"));
                self.climb(Rung::Quit, now)
            }
            None => match self.awaited() {
                Some((symptom, until)) if now >= until => self.overdue(symptom, now),
                _ => vec![],
            },
        }
    }

    /// What has to happen next, until when, and what it is a symptom of if it does not.
    fn awaited(&self) -> Option<(Symptom, Instant)> {
        if self.qmp_closed.is_some() || self.given_up_waiting {
            None
        } else if !self.commands {
            Some((Symptom::NoAnswer, self.started + self.limits.life))
        } else if self.stage == Stage::Qemu {
            Some((Symptom::NoConsole, self.started + self.limits.life))
        } else if self.tells_session && self.stage != Stage::Ready {
            Some((Symptom::NoSession, self.started + self.limits.ready))
        } else {
            None
        }
    }

    fn overdue(&mut self, symptom: Symptom, now: Instant) -> Vec<Action> {
        let (life, ready) = (self.limits.life.as_secs_f32(), self.limits.ready.as_secs_f32());
        let because = match symptom {
            Symptom::Crash | Symptom::NoAnswer => format!("QEMU did not answer in {life} s"),
            Symptom::NoConsole => format!("the guest showed no sign of life in {life} s"),
            Symptom::NoSession => format!("the guest opened no session in {ready} s"),
        };
        if symptom != Symptom::NoAnswer && self.rungs.suspect(symptom).is_none() {
            // There is nothing left to try, and a slow guest is better than none.
            self.given_up_waiting = true;
            return vec![Action::Say(format!("{because}; Ctrl-C ends it"))];
        }
        self.gives_up(symptom, because, now)
    }

    /// This start is over: for another one with a rung less, or for good.
    fn gives_up(&mut self, symptom: Symptom, because: String, now: Instant) -> Vec<Action> {
        let suspect = self.rungs.suspect(symptom).filter(|_| self.stage != Stage::Ready);
        self.ends_as(match suspect {
            Some(failure) => Outcome::RungFailed { failure, because },
            None => Outcome::died(because),
        });
        self.climb(Rung::Quit, now)
    }

    fn closed_deadline(&self) -> Option<Instant> {
        self.qmp_closed.map(|at| at + self.limits.quit)
    }

    fn reach(&mut self, stage: Stage) -> Vec<Action> {
        if stage <= self.stage {
            return vec![];
        }
        self.stage = stage;
        vec![Action::Stage(stage)]
    }

    /// The first outcome stands.
    fn ends_as(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    fn wait_for_poweroff(&mut self, now: Instant) {
        self.rung.get_or_insert((Rung::Powerdown { next_press: now + PRESS }, now + self.limits.poweroff));
    }

    /// Takes a rung, unless the ladder is there already or beyond.
    fn climb(&mut self, rung: Rung, now: Instant) -> Vec<Action> {
        let action = match (rung, self.rung) {
            (_, Some((Rung::Kill, _))) | (Rung::Quit, Some((Rung::Quit, _))) => return vec![],
            (Rung::Kill, _) => Action::Kill,
            _ if self.commands => Action::Send(Command::Quit),
            _ => Action::Terminate,
        };
        self.rung = Some((rung, now + self.limits.quit));
        vec![action]
    }
}

#[cfg(test)]
#[path = "machine_tests/mod.rs"]
mod tests;
