//! A VM's life, from QEMU's start to its end: the only place that owns a child process. Knows what QEMU
//! and the guest say and how both are ended; must not know how the command line was decided.
//!
//! ```text
//!            ┌────────────── this thread ──────────────┐
//!  Signals ─►│                                         │─► Status (stage, seconds)
//!            │ Event ─► machine::Machine ─► Action     │
//!            │                              (QMP, kill)│
//!            └──▲──────────────────────────────────┬───┘
//!               │ one bounded channel              │ QMP on standard input
//!  readers: QMP (standard output), console,   ┌────▼────┐
//!  control, standard error, a thread each  ◄──│  QEMU   │
//!                                             └─────────┘
//! ```
//!
//! The readers drain whatever comes, keep the last lines and send only what decides something, so a guest
//! that floods its console neither blocks nor grows anything. The state machine is drawn in [`machine`].
//!
//! QEMU never outlives the launcher: [`run`] kills and reaps it on every way out, a panic included, and
//! the OS does if the launcher itself is killed (`os/`).

mod checkpoint;
mod child;
mod clock;
mod control;
mod failure;
mod lines;
mod machine;
mod outcome;
mod qmp;
mod readers;
mod signals;
mod status;

#[cfg_attr(target_os = "linux", path = "os/linux.rs")]
#[cfg_attr(target_os = "macos", path = "os/macos.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;
#[cfg(unix)]
#[path = "os/unix.rs"]
mod unix;

/// What the fuzz targets reach besides.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::control::{LINE_BYTES as CONTROL_LINE_BYTES, Report, parse as parse_report};
    pub use super::lines::{Lines, Tail, clean};
    pub use super::machine::{Action, Event, Machine};
    pub use super::qmp::{LINE_BYTES as QMP_LINE_BYTES, Message, parse as parse_message};
}

pub use checkpoint::{Checkpoint, From};
pub use control::{Entry, HomeDisk};
pub use failure::{Failure, Rungs};
pub use os::guard;
pub use signals::Signals;
pub use status::{Status, for_stderr};

use crate::fault::{self, Point};
use crate::qemu::Channels;
use anyhow::{Context, Result};
use child::Child;
use clock::Clock;
use machine::{Action, Event, Machine};
use qmp::{Command, Step};
use readers::Readers;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// A QEMU to start.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    /// QMP on standard input and output, `channels` for the rest.
    pub args: Vec<OsString>,
    /// All of QEMU's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// A lock that QEMU holds too (Unix): it ends with the last of its holders, so no other QEMU has the VM's disk
    /// before this one is gone, even if the launcher is killed.
    pub lock: Option<Arc<File>>,
    /// What `args` say of the console and the control port.
    pub channels: Channels,
    /// Where the guest's console and QEMU's standard error are appended to, up to 16 MiB each; if anywhere.
    pub console_log: Option<PathBuf>,
    pub qemu_log: Option<PathBuf>,
    pub rungs: Rungs,
    /// The guest is one that tells when its session is ready.
    pub tells_session: bool,
    /// What is done where the guest waits to be somebody's, if it does.
    pub checkpoint: Option<Checkpoint>,
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start to QEMU's answer and the console's first byte.
    pub life: Duration,
    /// From the start to the session.
    pub ready: Duration,
    /// From the press of the power button to the guest's power-off.
    pub poweroff: Duration,
    /// From the quit command to QEMU's end; then it is killed.
    pub quit: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(30),
            ready: Duration::from_secs(300),
            poweroff: Duration::from_secs(30),
            quit: Duration::from_secs(3),
        }
    }
}

/// How far a launch is. A stage that a guest does not show (another init's) is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Qemu,
    /// The console has its first byte.
    Kernel,
    /// systemd has said its welcome.
    Services,
    /// The shell in the terminal has drawn its prompt.
    Ready,
}

/// How a VM ended. In each case QEMU is gone and reaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered itself off; with the status of the terminal's shell, if it told one.
    PoweredOff {
        session_status: Option<i32>,
    },
    /// Stopped on request; `clean` if the guest powered off by itself within the limit.
    Stopped {
        by: StopCause,
        clean: bool,
    },
    /// Saved at its checkpoint, as it was to be.
    Saved,
    /// Something that the launch can do without does not work here: start again without it.
    RungFailed {
        failure: Failure,
        because: String,
        tails: Tails,
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Status(i32),
    Signal(i32),
}

impl Exit {
    /// By a fault of its own, and by nobody's wish.
    fn is_crash(self) -> bool {
        matches!(self, Self::Signal(signal) if os::is_crash(signal))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "was ended by {}", os::signal_name(*signal)),
        }
    }
}

/// Between two looks at the child and the clock: while a stage's seconds are shown, later, and once QEMU
/// has hung up, which it does at its very end.
const TICK_BOOTING: Duration = Duration::from_millis(200);
const TICK_READY: Duration = Duration::from_secs(1);
const TICK_ENDING: Duration = Duration::from_millis(5);

/// How long what QEMU still said is waited for after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts QEMU and sees to it until it has ended. A request to stop that arrived before counts.
///
/// # Errors
/// QEMU can't be started, or a log not be written.
pub fn run(launch: &Launch, status: &mut dyn Status, signals: &Signals) -> Result<End> {
    let started = Instant::now();
    status.stage(Stage::Qemu, Duration::ZERO);
    fault::point(Point::BeforeSpawn);
    let (child, streams) = Child::spawn(launch)?;
    fault::point(Point::AfterSpawn);
    let (readers, events, waker) = Readers::start(streams, launch)?;
    let awake = signals.wake(move || waker.wake()).context("can't listen for Ctrl-C")?;
    let machine =
        Machine::new(launch.limits, launch.rungs, launch.tells_session, launch.checkpoint.clone(), started);
    let mut supervision = Supervision {
        machine,
        child,
        status,
        signals,
        heard: 0,
        qmp_open: true,
        started,
        clock: Clock::start(started),
    };
    let exit = supervision.until_exit(&events)?;
    fault::point(Point::AfterExit);
    drop(awake);
    supervision.drain(&events);
    Ok(supervision.machine.end(exit, readers.tails()))
}

struct Supervision<'a> {
    machine: Machine,
    child: Child,
    status: &'a mut dyn Status,
    signals: &'a Signals,
    /// How many of the signals the machine has been told.
    heard: u32,
    qmp_open: bool,
    started: Instant,
    clock: Clock,
}

impl Supervision<'_> {
    fn until_exit(&mut self, events: &Receiver<Event>) -> Result<Exit> {
        loop {
            while self.heard < self.signals.received() {
                self.heard += 1;
                self.on(Event::StopAsked);
            }
            if let Some(exit) = self.child.try_wait()? {
                return Ok(exit);
            }
            match events.recv_timeout(self.patience()) {
                Ok(event) => self.on(event),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK_ENDING),
            }
            self.status.tick(self.started.elapsed());
            self.on(Event::Tick);
        }
    }

    /// The readers may be behind the process: what QEMU said last explains its end.
    fn drain(&mut self, events: &Receiver<Event>) {
        let until = Instant::now() + LAST_WORDS;
        while let Ok(event) = events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.on(event);
        }
        self.status.done();
    }

    fn patience(&mut self) -> Duration {
        let tick = match self.machine.stage() {
            _ if !self.qmp_open => TICK_ENDING,
            Stage::Ready => TICK_READY,
            _ => TICK_BOOTING,
        };
        match self.machine.deadline() {
            Some(deadline) => tick.min(deadline.saturating_duration_since(self.clock.now())),
            None => tick,
        }
    }

    fn on(&mut self, event: Event) {
        self.qmp_open &= event != Event::QmpClosed;
        if event != Event::Tick {
            tracing::debug!("{event:?}");
        }
        let was_ending = self.machine.is_ending();
        let actions = self.machine.on(event, self.clock.now());
        if self.machine.is_ending() && !was_ending {
            self.status.ending();
        }
        for action in actions {
            tracing::debug!("{action:?}");
            let after = fault_after(&action);
            match action {
                Action::Send(command) => self.child.send(command),
                Action::Terminate => self.child.terminate(),
                Action::Kill => self.child.kill(),
                Action::Stage(stage) => self.status.stage(stage, self.started.elapsed()),
                Action::Reachable(port) => self.status.reachable(port),
                Action::TerminalSize { columns, rows } => self.status.terminal_size(columns, rows),
                Action::Say(sentence) => self.status.say(&sentence),
                Action::Saved => self.status.saved(),
                Action::Enter(entry) => self.child.tell(&entry.line(SystemTime::now())),
            }
            after.into_iter().for_each(fault::point);
        }
    }
}

fn fault_after(action: &Action) -> Option<Point> {
    Some(match action {
        Action::Send(Command::Powerdown) => Point::PowerButton,
        Action::Send(Command::Quit) => Point::QuitSent,
        Action::Send(Command::Step(Step::Save, _)) => Point::Saving,
        Action::Enter(_) => Point::Entered,
        Action::Stage(Stage::Kernel) => Point::Kernel,
        Action::Stage(Stage::Services) => Point::Services,
        Action::Stage(Stage::Ready) => Point::Ready,
        _ => return None,
    })
}
