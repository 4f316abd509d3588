//! The network of a VM: what it may reach (`policy`, pure), and the process that sees to it (`peer`), which the launcher starts
//! beside QEMU. The guest's network card is joined to it by a socket; QEMU itself opens none to any network.
//!
//! On Windows there is no such process yet: QEMU's own user network is there, and the plan says so.

pub mod account;
pub mod address;
#[cfg(unix)]
mod link;
#[cfg(unix)]
mod message;
pub mod names;
#[cfg(unix)]
pub mod peer;
pub mod policy;
pub mod ports;
#[cfg(unix)]
mod resolvers;

#[cfg_attr(unix, path = "os/unix/mod.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;

pub use os::{CardEnd, Network, change, open, role, show};
pub use policy::Policy;

use crate::model::units::VmName;
use crate::model::{Net, VmSpec};
use std::fmt;
use std::path::PathBuf;

/// The files of a VM's network.
pub struct Files {
    /// The VM's name, for what the user is to type.
    pub vm: VmName,
    /// The socket at which the account is shown.
    pub show: PathBuf,
    /// Where another command asks for another policy.
    pub request: PathBuf,
    /// The socket to the guest's agent, if it is reached through the network card.
    pub agent: Option<PathBuf>,
    /// None: nothing is logged.
    pub log: Option<PathBuf>,
}

impl Policy {
    /// That of a plan.
    pub fn of(spec: &VmSpec) -> Self {
        Self { net: spec.net.value, allow: spec.allow.clone() }
    }

    /// That of these words, as it is printed; None if they are none.
    pub fn of_words(net: &str, allow: &[String]) -> Option<Self> {
        let net = [Net::Public, Net::Open, Net::Off].into_iter().find(|word| word.to_string() == net)?;
        let allow = allow.iter().map(|rule| rule.parse().ok()).collect::<Option<_>>()?;
        Some(Self { net, allow })
    }
}

/// The setting, then the rules.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)?;
        self.allow.iter().try_for_each(|rule| write!(f, ", {rule}"))
    }
}
