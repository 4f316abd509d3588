//! A file of the user's that is something else than what it is given as: what it is, and the command that makes the right
//! thing of it.

use std::fmt;

#[derive(Debug)]
pub struct Unfit {
    what: String,
    fix: String,
}

impl Unfit {
    /// `what`: a sentence about the file. `fix`: what to do, by `command`.
    pub fn new(what: impl Into<String>, fix: &str, command: impl fmt::Display) -> Self {
        Self { what: what.into(), fix: format!("{fix}: {command}") }
    }

    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unfit {}
