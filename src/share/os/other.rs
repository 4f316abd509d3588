//! Other systems have no server yet, and the plan refuses shares there.

use crate::error::{Error, Kind, Result};
use crate::model::SharedFolder;
use crate::share::Report;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub struct Servers;

impl Servers {
    /// # Errors
    /// There is something to serve.
    pub fn start(shares: &[SharedFolder], _: &Path) -> Result<Self> {
        match shares.first() {
            None => Ok(Self),
            Some(share) => Err(Error::new(
                Kind::Failed,
                format!("can't share {}: this system has no server for it", share.folder.display()),
            )),
        }
    }

    pub fn devices(&self) -> Vec<Arc<File>> {
        Vec::new()
    }

    pub fn look(&mut self) -> Vec<Report> {
        Vec::new()
    }
}

/// # Errors
/// Always.
pub fn role(_: bool) -> Result<()> {
    Err(Error::new(Kind::Failed, "this system has no server of folders"))
}
