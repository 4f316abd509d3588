//! The QMP commands that save a VM, restore one, and run it with its identity. Pure, a part of the supervisor's state machine.
//!
//! ```text
//!            event "checkpoint"                   paused           saved
//!  boots ─────────────────────────────► Saving ───────────────────────┐
//!                                                                     ├──► Resuming ──► runs, and receives its identity
//!  restores ────────────────────────────► Restoring ──────────────────┘
//! ```
//!
//! A VM that can't be saved continues to run. A checkpoint that can't be restored or resumed is a failed feature.

use crate::protocol::GuestIdentity;
use crate::qemu::qmp::{Command, Message, Step};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The names of QEMU's nodes for the home disk and its file.
const HOME: &str = "home";
const HOME_FILE: &str = "home-file";

/// QEMU's error for a `cont` between the report that the state is written and its end. A retry succeeds (qmp_cont of
/// monitor/qmp-cmds.c).
const NOT_YET: &str = "not finalized yet";

/// What to do at the checkpoint. Each path is UTF-8, as QMP supports no others.
#[derive(Debug, Clone)]
pub struct CheckpointPlan {
    pub source: CheckpointSource,
    /// None: the VM is only saved, and stopped after that.
    pub resume: Option<Resume>,
}

/// What the VM resumes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub identity: GuestIdentity,
    /// The disk with its home.
    pub home: Option<HomeDisk>,
    /// The arguments of `device_add` for each folder of the host.
    pub shares: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeDisk {
    pub path: Utf8PathBuf,
    pub bytes: u64,
}

#[derive(Debug, Clone)]
pub enum CheckpointSource {
    /// The guest boots and is saved. Its memory goes to a new file; its root disk is not changed after that: later writes go
    /// to `overlay`, another new file.
    Boot { memory: Utf8PathBuf, overlay: Utf8PathBuf },
    /// The memory of a saved VM.
    Saved { memory: Utf8PathBuf },
}

/// The result of a message of QEMU's.
#[derive(Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Next(Command),
    /// The files are written. The VM is still paused: it resumes with the command, or is stopped.
    Saved(Option<Command>),
    /// The VM can't be saved, and why. It resumes with the command, or is stopped.
    NotSaved(String, Option<Command>),
    /// The state is restored.
    Restored(Option<Command>),
    /// The VM runs and waits for its identity.
    Resumed(GuestIdentity),
    /// The VM can't resume, and why.
    Lost(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// The guest boots, or QEMU does not answer yet.
    Before,
    Saving,
    Restoring,
    Resuming,
    After,
}

pub struct CheckpointSteps {
    checkpoint: CheckpointPlan,
    task: Task,
    steps: VecDeque<(Step, Value)>,
}

impl CheckpointSteps {
    pub fn new(checkpoint: CheckpointPlan) -> Self {
        Self { checkpoint, task: Task::Before, steps: VecDeque::new() }
    }

    /// QEMU accepts commands.
    pub fn negotiated(&mut self) -> Option<Command> {
        let CheckpointSource::Saved { memory } = &self.checkpoint.source else { return None };
        let steps = [set_capabilities(), (Step::Restore, json!({ "channels": [channel(memory)] }))];
        self.begin(Task::Restoring, steps)
    }

    /// The guest is at its checkpoint.
    pub fn arrived(&mut self) -> Option<Command> {
        let CheckpointSource::Boot { memory, overlay } = &self.checkpoint.source else { return None };
        if self.task != Task::Before {
            return None;
        }
        let snapshot = json!({ "device": "root", "snapshot-file": overlay.as_str(), "format": "qcow2" });
        let steps = [
            (Step::Pause, json!({})),
            (Step::SnapshotRootDisk, snapshot),
            set_capabilities(),
            (Step::Save, json!({ "channels": [channel(memory)] })),
        ];
        self.begin(Task::Saving, steps)
    }

    /// None if the message does not concern the checkpoint.
    pub fn on(&mut self, message: &Message) -> Option<StepOutcome> {
        let step = self.steps.front().map(|(step, _)| *step)?;
        match message {
            // It has started.
            Message::Done(Step::Save | Step::Restore) => None,
            Message::Done(done) if *done == step => Some(self.next()),
            Message::Refused(Step::Resume, why) if step == Step::Resume && why.contains(NOT_YET) => {
                self.current().map(StepOutcome::Next)
            }
            Message::Refused(refused, why) if *refused == step => Some(self.failed(why)),
            Message::Migration(status) if matches!(step, Step::Save | Step::Restore) => match status.as_str()
            {
                "completed" => Some(self.next()),
                "failed" | "cancelled" => Some(self.failed(&format!("QEMU's migration {status}"))),
                _ => None,
            },
            _ => None,
        }
    }

    fn begin(&mut self, task: Task, steps: impl IntoIterator<Item = (Step, Value)>) -> Option<Command> {
        self.task = task;
        self.steps = steps.into_iter().collect();
        self.current()
    }

    fn current(&self) -> Option<Command> {
        self.steps.front().map(|(step, arguments)| Command::Step(*step, arguments.clone()))
    }

    fn next(&mut self) -> StepOutcome {
        self.steps.pop_front();
        match (self.current(), self.task) {
            (Some(command), _) => StepOutcome::Next(command),
            (None, Task::Saving) => StepOutcome::Saved(self.resume()),
            (None, Task::Restoring) => StepOutcome::Restored(self.resume()),
            (None, _) => {
                self.task = Task::After;
                // Not kept here: it contains keys.
                let resume = self.checkpoint.resume.take().expect("only a VM with an identity resumes");
                StepOutcome::Resumed(resume.identity)
            }
        }
    }

    fn failed(&mut self, why: &str) -> StepOutcome {
        if self.task == Task::Saving {
            StepOutcome::NotSaved(why.to_owned(), self.resume())
        } else {
            self.steps.clear();
            StepOutcome::Lost(why.to_owned())
        }
    }

    fn resume(&mut self) -> Option<Command> {
        let Resume { home, shares, .. } = self.checkpoint.resume.as_ref()?;
        let (home, mut steps) = (home.clone(), Vec::new());
        steps.extend(shares.iter().map(|device| (Step::PlugShare, device.clone())));
        if let Some(home) = &home {
            let file = json!({ "driver": "file", "node-name": HOME_FILE, "filename": home.path.as_str(), "discard": "unmap" });
            let format = json!({ "driver": "raw", "node-name": HOME, "file": HOME_FILE, "discard": "unmap" });
            steps.extend([(Step::OpenHome, file), (Step::AttachHome, json!({ "options": [format] }))]);
        }
        steps.push((Step::Resume, json!({})));
        if let Some(home) = &home {
            // Only now: QEMU does not own the disks of a saved VM until it runs.
            steps.push((Step::SizeHome, json!({ "node-name": HOME, "size": home.bytes })));
        }
        self.begin(Task::Resuming, steps)
    }
}

fn set_capabilities() -> (Step, Value) {
    let on = |capability| json!({ "capability": capability, "state": true });
    (Step::SetCapabilities, json!({ "capabilities": [on("mapped-ram"), on("events")] }))
}

fn channel(memory: &Utf8Path) -> Value {
    json!({ "channel-type": "main", "addr": { "transport": "file", "filename": memory.as_str(), "offset": 0 } })
}
