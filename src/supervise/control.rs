//! The guest's control port. The guest is not trusted: a line may be anything, and a line that is no message is ignored.

use crate::protocol::GuestEvent;
use crate::sys::printable::clean;

pub const LINE_BYTES: usize = 4096;

/// The message in a line, its text without control characters.
pub fn parse(line: &[u8]) -> Option<GuestEvent> {
    let mut event = serde_json::from_slice(line).ok()?;
    if let GuestEvent::Failed { message } | GuestEvent::Notice { message } | GuestEvent::Log { message } =
        &mut event
    {
        *message = clean(message.as_bytes());
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_of_the_session_are_parsed() {
        assert_eq!(parse(br#"{"event":"session-ready","load":[0.1,0,0]}"#), Some(GuestEvent::SessionReady));
        let size = parse(br#"{"event":"terminal-size","columns":157,"rows":42}"#);
        assert_eq!(size, Some(GuestEvent::TerminalSize { columns: 157, rows: 42 }));
        assert_eq!(
            parse(br#"{"event":"session-exit","status":3}"#),
            Some(GuestEvent::SessionExit { status: 3 })
        );
        assert_eq!(
            parse(br#"{"event":"log","message":"a\u001b[2Jb\nc"}"#),
            Some(GuestEvent::Log { message: "abc".into() })
        );
    }

    #[test]
    fn a_line_that_is_no_message_is_ignored() {
        for line in ["", "x", r#"{"event":"new"}"#, r#"{"event":"session-exit"}"#, r#"{"event":7}"#] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_causes_a_panic(line: Vec<u8>) {
            parse(&line);
        }

        #[test]
        fn a_message_has_no_control_characters(message: String) {
            let line = serde_json::json!({ "event": "log", "message": message }).to_string();
            if let Some(GuestEvent::Log { message }) = parse(line.as_bytes()) {
                prop_assert!(!message.contains(char::is_control));
            }
        }
    }
}
