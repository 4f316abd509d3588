//! Windows: no peer. QEMU's own user network is there, and the plan says so.

use super::Files;
use super::account::Account;
use super::policy::Policy;
use super::ports::{self, Listening};
use crate::error::{Error, Result};
use crate::model::Publish;
use std::path::Path;
use std::sync::Arc;

/// There is no cable.
#[derive(Debug)]
pub enum CardEnd {}

pub struct Network(Policy);

impl Network {
    /// # Errors
    /// None.
    pub fn new(policy: Policy, _: ports::Policy, _: Files) -> Result<Self> {
        Ok(Self(policy))
    }

    pub fn listening(&mut self, _: Listening) -> Vec<String> {
        Vec::new()
    }

    pub fn published(&self) -> Vec<Publish> {
        Vec::new()
    }

    pub fn policy(&self) -> &Policy {
        &self.0
    }

    pub fn finish(&mut self) -> Option<String> {
        None
    }

    pub fn card(&self) -> Option<Arc<CardEnd>> {
        None
    }

    /// # Errors
    /// None.
    pub fn start(&mut self) -> Result<()> {
        Ok(())
    }

    pub fn look(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// # Errors
/// Always.
pub fn change(_: &Policy, _: &Path) -> Result<()> {
    Err(no_policy())
}

/// # Errors
/// Always.
pub fn open(_: &[u16], _: &Path) -> Result<()> {
    Err(no_policy())
}

/// # Errors
/// Always.
pub fn show(_: &Path) -> Result<Account> {
    Err(no_policy())
}

fn no_policy() -> Error {
    Error::bad_input("on Windows, QEMU's own network is used, which has no policy and counts nothing")
}

/// # Errors
/// Always.
pub fn role(_: bool) -> Result<()> {
    Err(Error::bad_input("on Windows, QEMU's own network is used"))
}
