//! What a guest may send: any bytes in any pieces give the same reports, and no text that moves the cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use virtualghost::supervise::fuzzing::{CONTROL_LINE_BYTES, Lines, Report, Tail, clean, parse_report};
use virtualghost_fuzz::pieces;

fn reports<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Report> {
    let (mut lines, mut reports) = (Lines::new(CONTROL_LINE_BYTES), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| reports.extend(parse_report(line)));
    }
    assert!(lines.rest().len() <= CONTROL_LINE_BYTES);
    reports
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = pieces(input) else { return };
    let whole = reports(std::iter::once(stream));
    assert_eq!(whole, reports(pieces.clone()));
    for report in whole {
        if let Report::Failed { message } | Report::Notice { message } | Report::Log { message } = report {
            assert!(!message.contains(char::is_control), "{message:?}");
            assert_eq!(clean(message.as_bytes()), message);
        }
    }

    let mut console = Tail::default();
    pieces.for_each(|piece| console.push(piece, |_| ()));
    assert!(console.lines().iter().all(|line| !line.contains(char::is_control)));
});
