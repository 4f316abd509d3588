//! What a launch tells: the user how it goes, other commands where the VM is, and the next start what failed.

use super::{Way, agent};
use crate::host::Rung;
use crate::instance::{AgentAddress, Instance, Phase, State, TerminalSize};
use crate::learnt::Learnt;
use crate::plan::{VmSpec, Window};
use crate::qemu::Agent;
use crate::supervise::{Signals, Stage, Status};
use std::process::Command;
use std::time::{Duration, Instant};

/// Shows how the launch goes, and tells it to other commands.
pub struct Told<'a> {
    pub shown: Box<dyn Status>,
    pub instance: &'a Instance,
    pub launched: Instant,
    pub state: State,
    /// What runs in this terminal once the session is there, and whose end is the VM's.
    pub shell: Option<Command>,
    pub signals: Signals,
    pub learnt: Learnt,
    /// What did not bear in this launch.
    pub fallen: Vec<(Rung, String)>,
    pub window: Window,
    pub way: Way,
}

/// Where the agent will be, if that is known before QEMU is there.
pub fn address(spec: &VmSpec) -> Option<AgentAddress> {
    match agent(spec) {
        Agent::Vsock { cid } => Some(AgentAddress::Vsock(cid)),
        Agent::Loopback => None,
    }
}

impl Told<'_> {
    pub fn starts(&mut self, spec: &VmSpec, way: Way) {
        self.way = way;
        self.window = spec.window.value;
        let told = self.state.clone();
        self.state.runs_on(spec, address(spec));
        // Before the first QEMU it is told already.
        if self.state != told {
            self.instance.tell(&self.state);
        }
    }

    /// The launch came up on the rungs that are left. Where no window came up at all the session was at fault, not
    /// OpenGL or a toolkit; and a context id that is taken says nothing about the next.
    fn learn(&mut self) {
        let worth = |rung: &Rung| match rung {
            Rung::Accelerator(_) => true,
            Rung::Gl | Rung::Window(_) => self.window != Window::None,
            // The one that failed is gone.
            Rung::Vsock | Rung::Checkpoint => false,
        };
        let lessons: Vec<_> = self.fallen.iter().filter(|(rung, _)| worth(rung)).collect();
        if lessons.is_empty() {
            return;
        }
        if let Err(e) = self.learnt.learn(lessons.iter().map(|(rung, because)| (*rung, because.as_str()))) {
            tracing::warn!("the next start will try {} again: {e:#}", lessons[0].0);
        }
    }

    fn open_shell(&mut self) {
        let Some(mut shell) = self.shell.take() else { return };
        let signals = self.signals.clone();
        std::thread::spawn(move || {
            if let Err(e) = shell.status() {
                tracing::error!("can't start {}: {e}", shell.get_program().display());
            }
            signals.raise();
        });
    }
}

impl Status for Told<'_> {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.shown.stage(stage, elapsed);
        if stage == Stage::Ready {
            // Not `elapsed`, which begins anew with each rung.
            self.state.is_ready_after(self.launched.elapsed());
            self.instance.tell(&self.state);
            self.instance.drop_guest_keys();
            self.learn();
            self.open_shell();
        }
    }

    fn reachable(&mut self, port: u16) {
        self.state.channel = Some(AgentAddress::Port(port));
        self.instance.tell(&self.state);
    }

    fn terminal_size(&mut self, columns: u16, rows: u16) {
        self.state.terminal = Some(TerminalSize { columns, rows });
        self.instance.tell(&self.state);
    }

    fn saved(&mut self) {
        self.way.publish();
        self.learn();
    }

    fn ending(&mut self) {
        self.state.state = Phase::Stopping;
        self.instance.tell(&self.state);
    }

    fn tick(&mut self, elapsed: Duration) {
        self.shown.tick(elapsed);
    }

    fn say(&mut self, sentence: &str) {
        self.shown.say(sentence);
    }

    fn done(&mut self) {
        self.shown.done();
    }
}
