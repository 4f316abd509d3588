//! What a running VM reports, and how it ended.

use crate::model::Feature;
use crate::protocol::ListeningPorts;
use std::time::Duration;

/// How far a start has come. A stage that the guest does not report (with another init) is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Qemu,
    /// The console has printed its first byte.
    Kernel,
    /// systemd has printed its welcome line.
    Services,
    /// The prompt is on the screen, and the next key arrives.
    Ready,
}

/// How a VM ended. In each case QEMU has exited and is reaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered itself off, or was to after its session had ended.
    PoweredOff {
        /// The status of the terminal's shell, if the session has ended.
        session_status: Option<i32>,
        /// The session was not ready yet.
        premature: bool,
        /// It did power itself off within the limit.
        clean: bool,
    },
    /// Stopped on request; `clean` if the guest powered off by itself within the limit.
    Stopped {
        by: StopCause,
        clean: bool,
    },
    /// The checkpoint was saved, which was all that the VM was started for.
    Saved,
    /// A feature failed before the session was ready: the launch retries with its fallback.
    FeatureFailed {
        feature: Feature,
        because: String,
    },
    Died {
        reason: String,
        tails: Tails,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    WindowClosed,
}

/// The last lines, without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tails {
    pub console: Vec<String>,
    /// QEMU's standard error.
    pub qemu: Vec<String>,
}

/// What the launch reacts to, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmEvent {
    /// The start has reached `stage`, `elapsed` after QEMU's start.
    Stage { stage: Stage, elapsed: Duration },
    /// The port of the loopback interface that leads to the guest's agent, which may not listen yet.
    AgentPort(u16),
    /// The guest's terminal has this many character cells.
    TerminalSize { columns: u16, rows: u16 },
    /// Programs of the guest listen on these ports.
    Listening(ListeningPorts),
    /// A sentence for the user.
    Notice(String),
    /// The checkpoint's files are written.
    CheckpointSaved,
    /// The VM is paused: the host's disk is full.
    Paused,
    /// It runs again.
    Resumed,
    /// The VM is being stopped.
    Stopping,
    /// Time passed since QEMU's start, and nothing else happened.
    Tick(Duration),
}
