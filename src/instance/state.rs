//! What a launcher tells about its VM: one small JSON file, replaced as a whole.

use super::process;
use crate::folders;
use crate::plan::VmSpec;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = "state.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Booting,
    Ready,
    Stopping,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        })
    }
}

/// Where the guest's agent is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentAddress {
    /// The guest's context id.
    Vsock(u32),
    /// A port of 127.0.0.1.
    Port(u16),
}

impl std::fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vsock(cid) => write!(f, "vsock:{cid}"),
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
pub struct State {
    pub name: String,
    pub state: Phase,
    /// The launcher's.
    pub pid: u32,
    /// When that process started, in a unit of the system's: with it, a number that is used again is not taken for ours.
    pub pid_started: u64,
    pub accelerator: String,
    pub gpu: String,
    /// Not known before QEMU has chosen a port.
    pub channel: Option<AgentAddress>,
    /// The launch, as RFC 3339 has it, in UTC.
    pub since: String,
    /// Seconds from the launch to the first prompt.
    pub ready_after: Option<f64>,
    /// None without a screen.
    pub terminal: Option<TerminalSize>,
}

impl State {
    /// Of a VM that this process launches now, with an agent at `channel` as far as that is known.
    pub fn new(spec: &VmSpec, channel: Option<AgentAddress>) -> Self {
        let pid = std::process::id();
        let mut state = Self {
            name: spec.name.to_string(),
            state: Phase::Booting,
            pid,
            pid_started: process::started(pid).unwrap_or_default(),
            accelerator: String::new(),
            gpu: String::new(),
            channel: None,
            since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            ready_after: None,
            terminal: None,
        };
        state.runs_on(spec, channel);
        state
    }

    /// What was chosen, perhaps anew.
    pub fn runs_on(&mut self, spec: &VmSpec, channel: Option<AgentAddress>) {
        self.accelerator = spec.accelerator.value.to_string().to_lowercase();
        self.gpu = spec.gpu.value.to_string();
        self.channel = channel;
    }

    pub fn is_ready_after(&mut self, elapsed: Duration) {
        self.state = Phase::Ready;
        self.ready_after = Some((elapsed.as_secs_f64() * 100.0).round() / 100.0);
    }

    /// That the VM has told, if it has; whether it runs is the lock's to say.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    pub fn save(&self, folder: &Path) -> Result<()> {
        folders::replace(&folder.join(FILE), &serde_json::to_vec(self)?, &folder.join("state.json.new"))
    }

    pub fn remove(folder: &Path) {
        let _ = fs::remove_file(folder.join(FILE));
    }

    /// Whether the launcher that wrote this is the process that now has its number.
    pub fn is_of_live_process(&self) -> bool {
        process::started(self.pid) == Some(self.pid_started)
    }
}
