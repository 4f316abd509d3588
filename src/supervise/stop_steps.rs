//! The steps that stop QEMU, each with a time limit. They only go forward. Pure, as the state machine that uses them.

use super::Limits;
use super::state_machine::{Action, notice};
use crate::qemu::qmp::Command;
use std::time::{Duration, Instant};

/// A guest that is still booting ignores its power button, so it is pressed again.
const PRESS: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The guest is to power itself off.
    Powerdown {
        next_press: Instant,
    },
    Quit,
    Kill,
}

pub struct StopSteps {
    limits: Limits,
    /// The current step, and when its limit expires.
    current: Option<(Step, Instant)>,
    /// The launcher pressed the power button.
    pressed: bool,
}

impl StopSteps {
    pub fn new(limits: Limits) -> Self {
        Self { limits, current: None, pressed: false }
    }

    pub fn have_begun(&self) -> bool {
        self.current.is_some()
    }

    pub fn has_pressed(&self) -> bool {
        self.pressed
    }

    /// The latest time for the next [`Self::tick`]. `commands`, here and below: QEMU accepts QMP commands.
    pub fn deadline(&self, commands: bool) -> Option<Instant> {
        match self.current? {
            (Step::Powerdown { next_press }, until) if commands => Some(until.min(next_press)),
            (Step::Powerdown { .. } | Step::Quit, until) => Some(until),
            (Step::Kill, _) => None,
        }
    }

    /// Waits for the guest's power-off, unless a step was done already.
    pub fn wait_for_poweroff(&mut self, now: Instant) {
        self.current.get_or_insert((Step::Powerdown { next_press: now + PRESS }, now + self.limits.poweroff));
    }

    /// Presses the power button and waits for the guest's power-off.
    pub fn power_down(&mut self, now: Instant) -> Action {
        self.pressed = true;
        self.wait_for_poweroff(now);
        Action::Send(Command::Powerdown)
    }

    /// Stops QEMU without its guest, unless that was done already.
    pub fn quit(&mut self, commands: bool, now: Instant) -> Vec<Action> {
        match self.current {
            Some((Step::Quit | Step::Kill, _)) => vec![],
            _ if commands => {
                self.current = Some((Step::Quit, now + self.limits.quit));
                vec![Action::Send(Command::Quit)]
            }
            // It takes no commands, and no signal but this.
            _ => self.kill(now),
        }
    }

    /// The next step, before the limit of this one expires.
    pub fn hurry(&mut self, commands: bool, now: Instant) -> Vec<Action> {
        match self.current {
            None | Some((Step::Powerdown { .. }, _)) => self.quit(commands, now),
            Some((Step::Quit, _)) => self.kill(now),
            Some((Step::Kill, _)) => vec![],
        }
    }

    pub fn tick(&mut self, commands: bool, now: Instant) -> Vec<Action> {
        match self.current {
            Some((Step::Powerdown { .. }, until)) if now >= until => {
                let mut actions = self.quit(commands, now);
                actions.push(notice("the VM did not power off in time; stopping it"));
                actions
            }
            Some((Step::Powerdown { next_press }, until)) if now >= next_press && commands => {
                self.current = Some((Step::Powerdown { next_press: now + PRESS }, until));
                vec![self.power_down(now)]
            }
            Some((Step::Quit, until)) if now >= until => self.kill(now),
            _ => vec![],
        }
    }

    fn kill(&mut self, now: Instant) -> Vec<Action> {
        self.current = Some((Step::Kill, now));
        vec![Action::Kill]
    }
}
