//! Names of VMs, snapshots and guests.

use super::Invalid;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// A VM's name: it is a host name in the guest (RFC 1123 label) and a file name on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct VmName(String);

impl VmName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The VM of a command without a name.
impl Default for VmName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for VmName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = (1..=63).contains(&text.len())
            && text.chars().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "a name is 1 to 63 of a-z, 0-9 and '-', with no '-' at either end, not {text:?}"
            )))
        }
    }
}

impl TryFrom<String> for VmName {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a snapshot, which is a file name on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotTag(String);

impl SnapshotTag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotTag {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 63 && text.chars().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "a tag is up to 63 letters, digits, '-', '_' and '.', and begins with a letter or a digit, not {text:?}"
            )))
        }
    }
}

impl fmt::Display for SnapshotTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The guest's name for itself: labels of RFC 1123 separated by dots, up to Linux's limit (HOST_NAME_MAX, gethostname(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    const MAX_BYTES: usize = 64;
    const MAX_LABEL: usize = 63;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Every VM name is a host name.
impl From<&VmName> for Hostname {
    fn from(name: &VmName) -> Self {
        Self(name.0.clone())
    }
}

impl FromStr for Hostname {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_label = |label: &str| {
            (1..=Self::MAX_LABEL).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= Self::MAX_BYTES && text.split('.').all(is_label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "hostname must be auto, or up to {} letters, digits, '-' and '.', such as web or web.example.org, not {text:?}",
                Self::MAX_BYTES
            )))
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
