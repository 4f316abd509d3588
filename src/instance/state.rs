//! The state of a running VM, published by its launcher: one small JSON file, replaced atomically.

use crate::model::{Net, Publish, Rule, VmSpec};
use crate::sys::{ProcessId, files};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = "state.json";
const RESERVE: &str = "reserve";
/// Two blocks of a file system: one for the file, one for its name.
const RESERVE_BYTES: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Booting,
    Ready,
    /// The host's disk is full.
    Paused,
    Stopping,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
        })
    }
}

/// The address of the guest's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentAddress {
    /// The guest's context id.
    Vsock(u32),
    /// The private socket in the VM's folder.
    Socket,
    /// A port of 127.0.0.1.
    Port(u16),
}

impl std::fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vsock(cid) => write!(f, "vsock:{cid}"),
            Self::Socket => f.write_str("socket"),
            Self::Port(port) => write!(f, "127.0.0.1:{port}"),
        }
    }
}

/// In character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmState {
    pub name: String,
    pub state: Phase,
    /// The launcher's process id.
    pub pid: u32,
    /// When that process started, in a unit that depends on the system. Shows whether the process id was reused.
    pub pid_started: u64,
    pub accelerator: String,
    pub gpu: String,
    /// The files and devices of the host that QEMU can open.
    #[serde(default)]
    pub jail: String,
    /// What of the network it reaches, and the rules that open more.
    #[serde(default)]
    pub net: String,
    #[serde(default)]
    pub allow: Vec<String>,
    /// The ports of 127.0.0.1 that lead into it.
    #[serde(default)]
    pub ports: Vec<Publish>,
    /// The folders of this machine in it.
    #[serde(default)]
    pub shares: Vec<String>,
    /// None until QEMU has chosen a port.
    pub channel: Option<AgentAddress>,
    /// The time of the launch in UTC (RFC 3339).
    pub since: String,
    /// Seconds from the launch to the first prompt.
    pub ready_after: Option<f64>,
    /// None without a screen.
    pub terminal: Option<TerminalSize>,
    /// Seconds from a request to power off to the launcher's kill.
    pub poweroff_timeout: u64,
}

impl VmState {
    /// The state of a VM that this process launches now, with its agent at `channel`, if that is known.
    pub fn new(spec: &VmSpec, channel: Option<AgentAddress>) -> Self {
        let ProcessId { pid, started } = ProcessId::of_this_process();
        let mut state = Self {
            name: spec.name.to_string(),
            state: Phase::Booting,
            pid,
            pid_started: started,
            accelerator: String::new(),
            gpu: String::new(),
            jail: String::new(),
            net: String::new(),
            allow: Vec::new(),
            ports: Vec::new(),
            shares: spec.shares.iter().map(ToString::to_string).collect(),
            channel: None,
            since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            ready_after: None,
            terminal: None,
            poweroff_timeout: spec.limits.poweroff.as_secs(),
        };
        state.runs_on(spec, channel);
        state
    }

    /// Sets what was chosen, also after a fallback.
    pub fn runs_on(&mut self, spec: &VmSpec, channel: Option<AgentAddress>) {
        self.accelerator = spec.accelerator.value.to_string().to_lowercase();
        self.gpu = spec.gpu.value.to_string();
        self.jail = spec.jail.value.to_string();
        self.reaches(spec.net.value, &spec.allow);
        self.channel = channel;
    }

    /// Sets what of the network it reaches.
    pub fn reaches(&mut self, net: Net, allow: &[Rule]) {
        self.net = net.to_string();
        self.allow = allow.iter().map(ToString::to_string).collect();
    }

    pub fn is_ready_after(&mut self, elapsed: Duration) {
        self.state = Phase::Ready;
        self.ready_after = Some((elapsed.as_secs_f64() * 100.0).round() / 100.0);
    }

    /// The published state, if there is one. It does not show whether the VM is running; the lock does.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// On a full disk the space of the reserve is used, so that other commands see that the VM is paused.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)?;
        let replace = || files::replace(&folder.join(FILE), &text, &folder.join("state.json.new"));
        replace().or_else(|e| match fs::remove_file(folder.join(RESERVE)) {
            Ok(()) => replace(),
            Err(_) => Err(e),
        })
    }

    /// Sets some space aside for a state that has to be written on a full disk, unless it is there already.
    ///
    /// # Errors
    /// There is no space, and then no part of the reserve either.
    pub fn reserve(folder: &Path) -> std::io::Result<()> {
        let path = folder.join(RESERVE);
        if path.exists() {
            return Ok(());
        }
        fs::write(&path, [1; RESERVE_BYTES]).inspect_err(|_| _ = fs::remove_file(&path))
    }

    /// With its reserve.
    pub fn remove(folder: &Path) {
        let _ = fs::remove_file(folder.join(FILE));
        let _ = fs::remove_file(folder.join(RESERVE));
    }

    /// The process that wrote this.
    pub fn launcher(&self) -> ProcessId {
        ProcessId { pid: self.pid, started: self.pid_started }
    }
}
