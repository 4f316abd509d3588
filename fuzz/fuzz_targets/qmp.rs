//! Any bytes from QEMU: the messages do not depend on how the bytes arrive, and the VM can always be stopped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Instant;
use virtualghost::checkpoint::{CheckpointPlan, CheckpointSource, Resume};
use virtualghost::model::{Accelerator, Feature, Window};
use virtualghost::protocol::GuestIdentity;
use virtualghost::supervise::Limits;
use virtualghost::supervise::fuzzing::{
    Action, Event, Lines, Message, QMP_LINE_BYTES, StateMachine, parse_message,
};
use virtualghost_fuzz::pieces;

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Message> {
    let (mut lines, mut messages) = (Lines::new(QMP_LINE_BYTES), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| messages.extend(parse_message(line)));
    }
    assert!(lines.rest().len() <= QMP_LINE_BYTES);
    messages
}

/// All features are in use.
const ALL: &[Feature] =
    &[Feature::Accelerator(Accelerator::Kvm), Feature::Gl, Feature::Window(Window::Gtk), Feature::Checkpoint];

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = pieces(input) else { return };
    let whole = messages(std::iter::once(stream));
    assert_eq!(whole, messages(pieces));

    let start = Instant::now();
    let identity = GuestIdentity {
        host_name: String::new(),
        timezone: String::new(),
        clock: 0,
        entropy: String::new(),
        safe: false,
        home: false,
        doors: None,
        credentials: Default::default(),
    };
    let source = CheckpointSource::Saved { memory: "memory".into() };
    let checkpoint =
        Some(CheckpointPlan { source, resume: Some(Resume { identity, home: None, shares: Vec::new() }) });
    let mut machine = StateMachine::new(Limits::default(), ALL.to_vec(), true, checkpoint, start);
    // QEMU may have been killed before the request already, if it took no commands.
    let mut actions =
        whole.into_iter().flat_map(|message| machine.on(Event::Qmp(message), start)).collect::<Vec<_>>();
    actions.extend(machine.on(Event::StopRequested, start));
    while let Some(at) = machine.deadline() {
        actions.extend(machine.on(Event::Tick, at));
    }
    assert_eq!(actions.iter().filter(|&action| *action == Action::Kill).count(), 1);
});
