//! A VM at its checkpoint: the steps that save it, that restore one, and that make it somebody's. Pure, a part of the
//! machine.
//!
//! ```text
//!            the guest says "checkpoint"        paused           saved
//!  boots ─────────────────────────────► Saving ───────────────────────┐
//!                                                                     ├──► Entering ──► it runs, and is told who it is
//!  restores ────────────────────────────► Restoring ──────────────────┘
//! ```
//!
//! What can't be saved runs on all the same. What can't be restored or entered is a rung that does not bear.

use super::control::Entry;
use super::qmp::{Command, Message, Step};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The name of QEMU's node for the home disk, and of the one behind it.
const HOME: &str = "home";
const HOME_FILE: &str = "home-file";

/// How QEMU refuses to let a VM run whose state is written: it has told so a moment before it sees to the rest. Asked
/// again, it has (qmp_cont of monitor/qmp-cmds.c).
const NOT_YET: &str = "not finalized yet";

/// What is to happen at the checkpoint. Each path is UTF-8: QMP has no others.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub start: From,
    /// None: the VM is only saved, and then ended.
    pub entry: Option<Entry>,
}

#[derive(Debug, Clone)]
pub enum From {
    /// The guest boots and is saved: its memory to a new file. Its root disk stays as it is then, and what it writes
    /// later goes to `overlay`, another new one.
    Boot { memory: PathBuf, overlay: PathBuf },
    /// The file of a saved one's memory.
    Saved { memory: PathBuf },
}

/// What comes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Next(Command),
    /// The files are written, and the VM, still paused, goes on with the command, or ends.
    Saved(Option<Command>),
    /// It can't be saved, and why; it goes on with the command, or ends.
    NotSaved(String, Option<Command>),
    /// The saved state is in place.
    Restored(Option<Command>),
    /// It runs and waits for this.
    Entered(Entry),
    /// It is in no state to go on, and why.
    Lost(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has been done: the guest boots, or QEMU does not answer yet.
    Before,
    Saving,
    Restoring,
    Entering,
    After,
}

pub struct Progress {
    checkpoint: Checkpoint,
    phase: Phase,
    steps: VecDeque<(Step, Value)>,
}

impl Progress {
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, phase: Phase::Before, steps: VecDeque::new() }
    }

    /// QEMU takes commands.
    pub fn negotiated(&mut self) -> Option<Command> {
        let From::Saved { memory } = &self.checkpoint.start else { return None };
        let steps = [set_up(), (Step::Restore, json!({ "channels": [channel(memory)] }))];
        self.begin(Phase::Restoring, steps)
    }

    /// The guest is at its checkpoint.
    pub fn arrived(&mut self) -> Option<Command> {
        let From::Boot { memory, overlay } = &self.checkpoint.start else { return None };
        if self.phase != Phase::Before {
            return None;
        }
        let leave = json!({ "device": "root", "snapshot-file": overlay, "format": "qcow2" });
        let steps = [
            (Step::Pause, json!({})),
            (Step::LeaveDisk, leave),
            set_up(),
            (Step::Save, json!({ "channels": [channel(memory)] })),
        ];
        self.begin(Phase::Saving, steps)
    }

    /// None if it has no part in this.
    pub fn on(&mut self, message: &Message) -> Option<Outcome> {
        let step = self.steps.front().map(|(step, _)| *step)?;
        match message {
            // It has begun.
            Message::Done(Step::Save | Step::Restore) => None,
            Message::Done(done) if *done == step => Some(self.next()),
            Message::Refused(Step::Resume, why) if step == Step::Resume && why.contains(NOT_YET) => {
                self.current().map(Outcome::Next)
            }
            Message::Refused(refused, why) if *refused == step => Some(self.failed(why)),
            Message::Migration(status) if matches!(step, Step::Save | Step::Restore) => match status.as_str()
            {
                "completed" => Some(self.next()),
                "failed" | "cancelled" => Some(self.failed("QEMU can't do it")),
                _ => None,
            },
            _ => None,
        }
    }

    fn begin(&mut self, phase: Phase, steps: impl IntoIterator<Item = (Step, Value)>) -> Option<Command> {
        self.phase = phase;
        self.steps = steps.into_iter().collect();
        self.current()
    }

    fn current(&self) -> Option<Command> {
        self.steps.front().map(|(step, arguments)| Command::Step(*step, arguments.clone()))
    }

    fn next(&mut self) -> Outcome {
        self.steps.pop_front();
        match (self.current(), self.phase) {
            (Some(command), _) => Outcome::Next(command),
            (None, Phase::Saving) => Outcome::Saved(self.enter()),
            (None, Phase::Restoring) => Outcome::Restored(self.enter()),
            (None, _) => {
                self.phase = Phase::After;
                // Taken: it holds keys.
                Outcome::Entered(self.checkpoint.entry.take().expect("else nothing is entered"))
            }
        }
    }

    fn failed(&mut self, why: &str) -> Outcome {
        if self.phase == Phase::Saving {
            Outcome::NotSaved(why.to_owned(), self.enter())
        } else {
            self.steps.clear();
            Outcome::Lost(why.to_owned())
        }
    }

    fn enter(&mut self) -> Option<Command> {
        let home = self.checkpoint.entry.as_ref()?.home.clone();
        let mut steps = Vec::new();
        if let Some(home) = &home {
            let file = json!({ "driver": "file", "node-name": HOME_FILE, "filename": home.path, "discard": "unmap" });
            let format = json!({ "driver": "raw", "node-name": HOME, "file": HOME_FILE, "discard": "unmap" });
            steps.extend([(Step::OpenHome, file), (Step::AttachHome, json!({ "options": [format] }))]);
        }
        steps.push((Step::Resume, json!({})));
        if let Some(home) = &home {
            // Only now: the disks of a VM that has been saved are not its own until it runs.
            steps.push((Step::SizeHome, json!({ "node-name": HOME, "size": home.bytes })));
        }
        self.begin(Phase::Entering, steps)
    }
}

fn set_up() -> (Step, Value) {
    let on = |capability| json!({ "capability": capability, "state": true });
    (Step::SetUp, json!({ "capabilities": [on("mapped-ram"), on("events")] }))
}

fn channel(memory: &Path) -> Value {
    json!({ "channel-type": "main", "addr": { "transport": "file", "filename": memory, "offset": 0 } })
}
