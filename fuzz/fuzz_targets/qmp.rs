//! Any bytes from QEMU in any pieces: the same messages, and the machine that they drive can always be ended.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Instant;
use virtualghost::supervise::fuzzing::{
    Action, Event, Lines, Machine, Message, QMP_LINE_BYTES, parse_message,
};
use virtualghost::supervise::{Checkpoint, Entry, From, Limits, Rungs};
use virtualghost_fuzz::pieces;

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Message> {
    let (mut lines, mut messages) = (Lines::new(QMP_LINE_BYTES), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| messages.extend(parse_message(line)));
    }
    assert!(lines.rest().len() <= QMP_LINE_BYTES);
    messages
}

/// Everything can fail.
const ALL: Rungs = Rungs { accelerator: true, gl: true, window: true, checkpoint: true };

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = pieces(input) else { return };
    let whole = messages(std::iter::once(stream));
    assert_eq!(whole, messages(pieces));

    let start = Instant::now();
    let entry =
        Entry { host_name: String::new(), entropy: String::new(), home: None, credentials: Vec::new() };
    let saved = From::Saved { memory: "memory".into() };
    let checkpoint = Some(Checkpoint { start: saved, entry: Some(entry) });
    let mut machine = Machine::new(Limits::default(), ALL, true, checkpoint, start);
    whole.into_iter().for_each(|message| drop(machine.on(Event::Qmp(message), start)));
    let mut actions = machine.on(Event::StopAsked, start);
    while let Some(at) = machine.deadline() {
        actions = machine.on(Event::Tick, at);
    }
    assert_eq!(actions, [Action::Kill]);
});
