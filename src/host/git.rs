//! The user's name for git's commits: what git itself has for the user, whatever folder this is.

use crate::error::{Error, Kind, Result};
use crate::protocol::GitIdentity;
use anyhow::Context;
use std::process::{Command, Stdio};

/// Asks git for the user's own settings alone: those of a folder may be another's.
///
/// # Errors
/// There is no git, or it has no name or no address.
pub fn identity() -> Result<GitIdentity> {
    let get = |key: &str| {
        let output = Command::new("git")
            .args(["config", "--global", "--includes", "--get", key])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .context("can't ask git for your name: git did not start")
            .map_err(|e| Error::caused(Kind::BadInput, e, "start without --git-identity, or install git"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if text.is_empty() {
            return Err(Error::bad_input(format!("git has no {key} here, for --git-identity"))
                .hint(format!("set it: git config --global {key} VALUE; or start without it")));
        }
        Ok(text)
    };
    Ok(GitIdentity { name: get("user.name")?, email: get("user.email")? })
}
