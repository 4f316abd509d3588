//! Any bytes from a guest: the events do not depend on how the bytes arrive, and no text moves the cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use virtualghost::protocol::GuestEvent;
use virtualghost::supervise::fuzzing::{CONTROL_LINE_BYTES, Lines, Tail, clean, parse_event};
use virtualghost_fuzz::pieces;

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<GuestEvent> {
    let (mut lines, mut events) = (Lines::new(CONTROL_LINE_BYTES), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| events.extend(parse_event(line)));
    }
    assert!(lines.rest().len() <= CONTROL_LINE_BYTES);
    events
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = pieces(input) else { return };
    let whole = events(std::iter::once(stream));
    assert_eq!(whole, events(pieces.clone()));
    for event in whole {
        if let GuestEvent::Failed { message } | GuestEvent::Notice { message } | GuestEvent::Log { message } =
            event
        {
            assert!(!message.contains(char::is_control), "{message:?}");
            assert_eq!(clean(message.as_bytes()), message);
        }
    }

    let mut console = Tail::default();
    pieces.for_each(|piece| console.push(piece, |_| ()));
    assert!(console.lines().iter().all(|line| !line.contains(char::is_control)));
});
