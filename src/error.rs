//! What the program says when it can't go on: a kind (which decides the exit status), the chain of
//! causes, and what to type next. Every command returns [`Error`]; only `main` prints it.

use crate::config::ConfigError;
use crate::doctor::Finding;
use crate::plan::PlanError;
use std::fmt::Display;
use std::process::ExitCode;

/// Why the program ends, as its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something on this machine went wrong (a file, a process, the disk): status 1.
    Failed = 1,
    /// What the user typed or configured can't be done; nothing was started: status 2, like clap's.
    BadInput = 2,
    /// The VM started and did not end well: QEMU died, the guest panicked: status 3.
    VmDied = 3,
}

/// A failed command.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub cause: anyhow::Error,
    /// What else is not as it should be, each with its fix.
    pub findings: Vec<Finding>,
    /// What to type or change next, one sentence.
    pub hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, cause: anyhow::anyhow!("{message}"), findings: Vec::new(), hint: None }
    }

    pub fn caused(kind: Kind, cause: anyhow::Error, hint: impl Into<String>) -> Self {
        Self { kind, cause, findings: Vec::new(), hint: Some(hint.into()) }
    }

    pub fn bad_input(message: impl Display) -> Self {
        Self::new(Kind::BadInput, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What a look at the machine found, for a launch that failed.
    pub fn examined(mut self, findings: &[Finding]) -> Self {
        self.findings = findings.to_vec();
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self { kind: Kind::Failed, cause, findings: Vec::new(), hint: None }
    }
}

/// A bad configuration: nothing was started.
impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::File { .. } => {
                "correct that line; `virtualghost config --show` prints every setting"
            }
            ConfigError::Environment { .. } => "correct or unset that variable",
        };
        Self::caused(Kind::BadInput, error.into(), hint)
    }
}

/// Something forced that can't be had: nothing was started.
impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        let hint = error.hint().to_owned();
        Self::caused(Kind::BadInput, error.into(), hint)
    }
}

/// `error: WHAT: WHY`, what was found, then `hint: NEXT`.
impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {:#}", self.cause)?;
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
