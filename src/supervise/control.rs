//! The guest's control port: one JSON object per line, from the guest and, at a checkpoint, to it. The guest is not
//! trusted: a line may be anything, and what is not understood is passed over.

use super::lines::clean;
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

pub const LINE_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The guest has booted as far as it can before it is somebody's, and waits for an [`Entry`].
    Checkpoint,
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
    Checkpoint,
    SessionReady,
    SessionExit { status: i32 },
    TerminalSize { columns: u16, rows: u16 },
    Failed { message: String },
    Notice { message: String },
    Log { message: String },
}

pub fn parse(line: &[u8]) -> Option<Report> {
    Some(match serde_json::from_slice(line).ok()? {
        Line::Checkpoint => Report::Checkpoint,
        Line::SessionReady => Report::SessionReady,
        Line::SessionExit { status } => Report::SessionExit { status },
        Line::TerminalSize { columns, rows } => Report::TerminalSize { columns, rows },
        Line::Failed { message } => Report::Failed { message: clean(message.as_bytes()) },
        Line::Notice { message } => Report::Notice { message: clean(message.as_bytes()) },
        Line::Log { message } => Report::Log { message: clean(message.as_bytes()) },
    })
}

/// What makes a VM at its checkpoint one of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub host_name: String,
    /// Hexadecimal digits, of this VM alone.
    pub entropy: String,
    /// The disk that keeps its home.
    pub home: Option<HomeDisk>,
    /// Names and texts of systemd's credentials.
    pub credentials: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeDisk {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Entry {
    /// As the guest reads it (src/agent/checkpoint.rs); `now` becomes its clock.
    pub fn line(&self, now: SystemTime) -> String {
        let clock = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let credentials: serde_json::Map<_, _> =
            self.credentials.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
        let Self { host_name, entropy, home, .. } = self;
        let home = home.is_some();
        let line = json!({ "host_name": host_name, "clock": clock, "entropy": entropy, "home": home, "credentials": credentials });
        format!("{line}\n")
    }
}

/// Without what is secret: it may end up in a log.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("host_name", &self.host_name)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
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
    fn an_entry_is_one_line_and_its_secrets_reach_no_log() {
        let entry = Entry {
            host_name: "work".to_owned(),
            entropy: "00ff".to_owned(),
            home: None,
            credentials: vec![("key".to_owned(), "-----\nsecret\n".to_owned())],
        };
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_700_000_000_000_000_100);
        assert_eq!(
            entry.line(now),
            "{\"clock\":1700000000000000100,\"credentials\":{\"key\":\"-----\\nsecret\\n\"},\"entropy\":\"00ff\",\"home\":false,\"host_name\":\"work\"}\n"
        );
        let shown = format!("{entry:?}");
        assert!(shown.contains("work") && !shown.contains("secret") && !shown.contains("00ff"), "{shown}");
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
