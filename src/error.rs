//! The error of every command: a kind (which decides the exit status), the chain of causes, and what to type next. Every
//! command returns [`Error`]; only `main` prints it.

use std::fmt::Display;
use std::process::ExitCode;

/// The kind of a failure, which is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something on this machine went wrong (a file, a process, the disk): status 1.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was started: status 2, like clap's.
    BadInput = 2,
    /// The VM started and failed: QEMU died, or the guest panicked: status 3.
    VmDied = 3,
}

/// A failed command.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub cause: anyhow::Error,
    /// Other problems on this machine with their fixes; one or a few lines each.
    pub notes: Vec<String>,
    /// What to type or change next: one sentence.
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, cause: anyhow::anyhow!("{message}"), notes: Vec::new(), hint: None }
    }

    pub fn caused(kind: Kind, cause: anyhow::Error, hint: impl Into<String>) -> Self {
        Self { kind, cause, notes: Vec::new(), hint: Some(hint.into()) }
    }

    pub fn bad_input(message: impl Display) -> Self {
        Self::new(Kind::BadInput, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_notes(mut self, notes: impl IntoIterator<Item = impl Display>) -> Self {
        self.notes = notes.into_iter().map(|note| note.to_string()).collect();
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self { kind: Kind::Failed, cause, notes: Vec::new(), hint: None }
    }
}

/// `error: WHAT: WHY`, the notes, then `hint: NEXT`.
impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {:#}", self.cause)?;
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, unix))]
mod texts;
