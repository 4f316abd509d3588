//! The guest's control port: one JSON object per line, from the guest. The guest is not trusted: a line
//! may be anything, and what is not understood is passed over.

use super::lines::clean;
use serde::Deserialize;

pub const LINE_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The shell in the terminal has drawn its first prompt.
    SessionReady,
    /// The terminal has ended, with the exit status of its shell.
    SessionExit { status: i32 },
    /// The terminal's size in character cells.
    TerminalSize { columns: u16, rows: u16 },
    /// The session can't start, and why, clean.
    Failed { message: String },
    /// Something for the user, clean.
    Notice { message: String },
    /// Something for the log, clean.
    Log { message: String },
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    SessionReady,
    SessionExit { status: i32 },
    TerminalSize { columns: u16, rows: u16 },
    Failed { message: String },
    Notice { message: String },
    Log { message: String },
}

pub fn parse(line: &[u8]) -> Option<Report> {
    Some(match serde_json::from_slice(line).ok()? {
        Line::SessionReady => Report::SessionReady,
        Line::SessionExit { status } => Report::SessionExit { status },
        Line::TerminalSize { columns, rows } => Report::TerminalSize { columns, rows },
        Line::Failed { message } => Report::Failed { message: clean(message.as_bytes()) },
        Line::Notice { message } => Report::Notice { message: clean(message.as_bytes()) },
        Line::Log { message } => Report::Log { message: clean(message.as_bytes()) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_session_is_followed() {
        assert_eq!(parse(br#"{"event":"session-ready","load":[0.1,0,0]}"#), Some(Report::SessionReady));
        let size = parse(br#"{"event":"terminal-size","columns":157,"rows":42}"#);
        assert_eq!(size, Some(Report::TerminalSize { columns: 157, rows: 42 }));
        assert_eq!(parse(br#"{"event":"session-exit","status":3}"#), Some(Report::SessionExit { status: 3 }));
        assert_eq!(
            parse(br#"{"event":"log","message":"a\u001b[2Jb\nc"}"#),
            Some(Report::Log { message: "abc".into() })
        );
    }

    #[test]
    fn what_the_guest_makes_up_is_passed_over() {
        for line in ["", "x", r#"{"event":"new"}"#, r#"{"event":"session-exit"}"#, r#"{"event":7}"#] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line: Vec<u8>) {
            parse(&line);
        }

        #[test]
        fn no_message_can_write_to_the_terminal_but_text(message: String) {
            let line = serde_json::json!({ "event": "log", "message": message }).to_string();
            if let Some(Report::Log { message }) = parse(line.as_bytes()) {
                prop_assert!(!message.contains(char::is_control));
            }
        }
    }
}
