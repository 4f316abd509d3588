//! The jail around QEMU: the files and devices of the host that it can open, and nothing else. `policy` computes it as data,
//! each part with its reason; `os` applies it to the new process, before it becomes QEMU. Must not know how QEMU is
//! supervised.
//!
//! A guest that has taken over QEMU has what is in the policy, and what QEMU has open. The kernel enforces it (Landlock, or
//! namespaces where it has none), and nothing in the process can widen it.

#[cfg_attr(target_os = "linux", path = "os/linux/mod.rs")]
#[cfg_attr(not(target_os = "linux"), path = "os/other.rs")]
mod os;
mod policy;

pub use policy::policy;

use crate::model::{Enforcement, Jail};
use std::fmt;
use std::path::PathBuf;

/// What QEMU may do with a file, or with everything in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read files and list folders.
    Read,
    /// Read, and start as a program.
    Run,
    /// Read and write what exists.
    Write,
    /// Read, write, create and remove.
    Own,
    /// Read, write and control a device.
    Device,
    /// Connect to a socket. Kernels before Landlock 9 do not restrict it.
    Connect,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Write => "write",
            Self::Own => "own",
            Self::Device => "device",
            Self::Connect => "connect",
        })
    }
}

/// A part of the host that QEMU can open. One that does not exist when QEMU starts is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub path: PathBuf,
    pub access: Access,
    pub because: String,
}

impl Rule {
    pub fn new(access: Access, path: impl Into<PathBuf>, because: impl Into<String>) -> Self {
        Self { path: path.into(), access, because: because.into() }
    }
}

/// What QEMU has of the host's network by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// All of it.
    All,
    /// No connection and no socket for one.
    None,
}

/// What happens at a system call that QEMU never makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It fails with EPERM.
    Error,
    /// It is made, and the kernel's log names it: to find what a driver needs.
    Log,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailPolicy {
    pub jail: Jail,
    pub enforcement: Enforcement,
    pub rules: Vec<Rule>,
    pub network: Network,
    /// Why it may connect to abstract sockets (unix(7)), if so: the kernel allows all of them or none.
    pub abstract_sockets: Option<String>,
    /// Why it may make sockets of the host (unix(7)), if so.
    pub unix_sockets: Option<String>,
    /// The Wayland compositor's socket, which the launcher connects to: QEMU gets the connection, and needs no other.
    pub wayland: Option<PathBuf>,
    pub refusal: Refusal,
}

/// One line for each part.
impl fmt::Display for JailPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "QEMU in the jail {:?}, enforced by {}, can open:",
            self.jail.to_string(),
            self.enforcement
        )?;
        for Rule { path, access, because } in &self.rules {
            writeln!(f, "  {access:<8} {}  ({because})", path.display())?;
        }
        let network = match self.network {
            Network::All => "connect to any address  (the X server is on another machine)",
            Network::None => "make no connection to any address",
        };
        writeln!(f, "It can {network}.")?;
        for (what, because) in
            [("abstract sockets", &self.abstract_sockets), ("sockets of other programs", &self.unix_sockets)]
        {
            match because {
                Some(because) => writeln!(f, "It can connect to {what}  ({because}).")?,
                None => writeln!(f, "It can't connect to {what}.")?,
            }
        }
        if let Some(socket) = &self.wayland {
            writeln!(f, "It has a connection to {}.", socket.display())?;
        }
        f.write_str(match self.refusal {
            Refusal::Error => "System calls that it never makes fail.",
            Refusal::Log => "System calls that it never makes are logged by the kernel.",
        })
    }
}

#[cfg(test)]
mod tests;
