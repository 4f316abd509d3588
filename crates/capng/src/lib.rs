//! What the virtiofsd crate uses of libcap-ng, for a process without capabilities: it has none, and can't add one.

use std::fmt;

/// The number of a capability (capabilities(7)).
pub type Capability = u32;

/// A set of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type;

impl Type {
    pub const EFFECTIVE: Self = Self;
}

/// Several sets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set;

impl Set {
    pub const BOTH: Self = Self;
    pub const CAPS: Self = Self;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ADD,
    DROP,
}

/// A change of one capability.
#[derive(Debug)]
pub struct CUpdate {
    pub action: Action,
    pub cap_type: Type,
    pub capability: Capability,
}

/// The process has no capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has no capabilities")
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

pub fn clear(_: Set) {}

/// # Errors
/// Never: there is nothing to read.
pub fn get_caps_process() -> Result<()> {
    Ok(())
}

/// # Errors
/// It adds a capability.
pub fn update(changes: Vec<CUpdate>) -> Result<()> {
    if changes.iter().any(|change| change.action == Action::ADD) { Err(Error) } else { Ok(()) }
}

/// # Errors
/// Never: nothing changes.
pub fn apply(_: Set) -> Result<()> {
    Ok(())
}

pub fn have_capability(_: Type, _: Capability) -> bool {
    false
}

/// # Errors
/// Never: which one it is makes no difference.
pub fn name_to_capability(_: &str) -> Result<Capability> {
    Ok(0)
}
