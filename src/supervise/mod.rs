//! Runs QEMU from start to end: the only module that owns its process. Knows what QEMU and the guest send and how both are
//! stopped; must not know how the command line was decided, or what is displayed.
//!
//! ```text
//!             ┌───────────── this thread ─────────────┐
//! StopHandle ►│                                       │► VmEvent, one at a time, then the End
//!             │ Event ─► StateMachine ─► Action       │
//!             │                         (QMP, kill)   │
//!             └──▲──────────────────────────────┬─────┘
//!                │ one bounded channel          │ QMP on standard input
//!  readers: QMP (standard output), console, ┌───▼────┐
//!  control, standard error, a thread each ◄─│  QEMU  │
//!                                           └────────┘
//! ```
//!
//! The readers read everything, keep the last lines and send only the events that the state machine needs, so a guest that
//! floods its console neither blocks the launcher nor uses up its memory. The state machine is drawn in [`state_machine`].
//!
//! QEMU never outlives the launcher: dropping [`Vm`] kills and reaps it, also in a panic, and the operating system kills it
//! if the launcher itself is killed ([`crate::sys::process`]).

mod checkpoint_outcome;
mod classify;
mod control;
mod event;
mod guest_clock;
mod outcome;
mod process;
mod readers;
mod sanitize;
mod scope;
mod state_machine;
mod stop_steps;
mod suspend_clock;
mod to_guest;

#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod os;

/// What the fuzz targets need in addition.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::control::{LINE_BYTES as CONTROL_LINE_BYTES, parse as parse_event};
    pub use super::sanitize::{Lines, Tail};
    pub use super::state_machine::{Action, Event, StateMachine};
    pub use crate::qemu::qmp::{LINE_BYTES as QMP_LINE_BYTES, Message, parse as parse_message};
    pub use crate::sys::printable::clean;
}

use crate::checkpoint::CheckpointPlan;
use crate::failpoints::{self, FailPoint};
use crate::jail::JailPolicy;
use crate::model::{Feature, Scope};
use crate::net::CardEnd;
use crate::protocol::{self, HostMessage};
use crate::qemu::Channels;
use crate::qemu::qmp::{Command, Step};
use crate::sys::process::Exit;
use crate::sys::signals::WakerGuard;
use crate::sys::{FileLock, StopHandle};
use anyhow::{Context, Result};
pub use event::{End, Stage, StopCause, Tails, VmEvent};
use guest_clock::GuestClock;
use process::Child;
use readers::Readers;
use state_machine::{Action, Event, StateMachine};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};
use suspend_clock::SuspendClock;

/// How to start QEMU.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    /// QMP on standard input and output, `channels` for the rest.
    pub args: Vec<OsString>,
    /// QEMU's whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it can open; None: whatever the user can.
    pub jail: Option<JailPolicy>,
    /// Its control group, if it gets one of its own.
    pub scope: Option<Scope>,
    /// A lock that QEMU holds too (Unix): it ends with the last of its holders, so no other QEMU has the VM's disk
    /// before this one is gone, even if the launcher is killed.
    pub lock: Option<Arc<FileLock>>,
    /// The console and the control port as `args` has them.
    pub channels: Channels,
    /// The end of the cable that QEMU's network card gets, if it has a peer (Unix).
    pub card: Option<Arc<CardEnd>>,
    /// The connections to the servers of shared folders, in the order of the descriptors in `channels`.
    pub shares: Vec<Arc<File>>,
    /// The guest's credentials, for the descriptors in `channels`.
    pub keys: Vec<String>,
    /// The files to which the guest's console and QEMU's standard error are appended, up to 16 MiB each.
    pub console_log: Option<PathBuf>,
    pub qemu_log: Option<PathBuf>,
    /// The features in use. Each can fail and has a fallback.
    pub features: Vec<Feature>,
    /// Whether the guest reports when its session is ready.
    pub reports_session: bool,
    /// What to do when the guest waits for its identity, if it does.
    pub checkpoint: Option<CheckpointPlan>,
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start to QEMU's first reply and the console's first byte.
    pub boot: Duration,
    /// From the start to a ready session.
    pub ready: Duration,
    /// From the press of the power button to the guest's power-off.
    pub poweroff: Duration,
    /// From the quit command to QEMU's exit; then it is killed.
    pub quit: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(30),
            ready: Duration::from_secs(300),
            poweroff: Duration::from_secs(30),
            quit: Duration::from_secs(3),
        }
    }
}

/// How often the process and the clock are checked: while the user sees the seconds of a stage, later, and after QEMU has
/// closed QMP, which it does just before it exits.
const TICK_BOOTING: Duration = Duration::from_millis(200);
const TICK_READY: Duration = Duration::from_secs(1);
const TICK_ENDING: Duration = Duration::from_millis(5);

/// How long to wait for the rest of QEMU's output after its exit.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// A running QEMU. It is killed when the thread that started it ends.
pub struct Vm<'a> {
    machine: StateMachine,
    child: Child,
    readers: Readers,
    events: Receiver<Event>,
    stop: &'a StopHandle,
    /// None once QEMU has exited, so that the channel of events closes.
    waker: Option<WakerGuard>,
    /// How many of the requests to stop the state machine has handled.
    handled: u32,
    qmp_open: bool,
    started: Instant,
    clock: SuspendClock,
    guest_clock: GuestClock,
    /// Events that are not returned yet.
    pending: VecDeque<VmEvent>,
    exit: Option<Exit>,
    /// Hit once the caller has handled the last event.
    failpoint: Option<FailPoint>,
}

impl<'a> Vm<'a> {
    /// Starts QEMU. A stop request that arrived before is handled, too.
    ///
    /// # Errors
    /// QEMU can't be started, or a log can't be written.
    pub fn start(launch: &Launch, stop: &'a StopHandle) -> Result<Self> {
        let started = Instant::now();
        failpoints::hit(FailPoint::BeforeSpawn);
        let (child, streams) = Child::spawn(launch)?;
        launch.scope.into_iter().for_each(|scope| scope.move_into(child.id()));
        failpoints::hit(FailPoint::AfterSpawn);
        let (readers, events, waker) = Readers::start(streams, launch)?;
        let waker = stop.wake(move || waker.wake()).context("can't handle Ctrl-C")?;
        let machine = StateMachine::new(
            launch.limits,
            launch.features.clone(),
            launch.reports_session,
            launch.checkpoint.clone(),
            started,
        );
        Ok(Self {
            machine,
            child,
            readers,
            events,
            stop,
            waker: Some(waker),
            handled: 0,
            qmp_open: true,
            started,
            clock: SuspendClock::start(started),
            guest_clock: GuestClock::new(started, SystemTime::now()),
            pending: VecDeque::from([VmEvent::Stage { stage: Stage::Qemu, elapsed: Duration::ZERO }]),
            exit: None,
            failpoint: None,
        })
    }

    /// Waits for the next event; None once QEMU has exited.
    ///
    /// # Errors
    /// QEMU can't be waited for.
    pub fn next_event(&mut self) -> Result<Option<VmEvent>> {
        self.failpoint.take().into_iter().for_each(failpoints::hit);
        if self.pending.is_empty() && self.exit.is_none() {
            self.advance()?;
        }
        let event = self.pending.pop_front();
        self.failpoint = event.as_ref().and_then(failpoint_at);
        Ok(event)
    }

    /// Lets a VM run again that a full disk has paused.
    pub fn resume(&mut self) {
        self.on(Event::ResumeRequested);
    }

    /// Sends the guest a message about its shared folders.
    pub fn send_message(&mut self, message: &HostMessage) {
        self.child.send_to_guest(&protocol::line(message));
    }

    /// How it ended. Call it when [`Self::next_event`] has returned None.
    pub fn end(self) -> End {
        let exit = self.exit.expect("QEMU has exited");
        self.machine.end(exit, self.readers.tails())
    }

    fn advance(&mut self) -> Result<()> {
        while self.handled < self.stop.requests() {
            self.handled += 1;
            self.on(Event::StopRequested);
        }
        if self.stop.is_forced() {
            self.on(Event::StopForced);
        }
        if let Some(exit) = self.child.try_wait()? {
            failpoints::hit(FailPoint::AfterExit);
            self.exit = Some(exit);
            self.waker = None;
            self.drain();
            return Ok(());
        }
        let tick = self.tick();
        match self.events.recv_timeout(tick) {
            Ok(event) => self.on(event),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK_ENDING),
        }
        self.on(Event::Tick);
        self.look_at_guest_clock();
        self.pending.push_back(VmEvent::Tick(self.started.elapsed()));
        Ok(())
    }

    /// Handles what is still in the pipes: QEMU's last output explains its exit.
    fn drain(&mut self) {
        let until = Instant::now() + LAST_OUTPUT;
        while let Ok(event) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.on(event);
        }
    }

    fn tick(&mut self) -> Duration {
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
        self.note_for_guest_clock(&event);
        let was_ending = self.machine.is_ending();
        let actions = self.machine.on(event, self.clock.now());
        if self.machine.is_ending() && !was_ending {
            self.pending.push_back(VmEvent::Stopping);
        }
        for action in actions {
            tracing::debug!("{action:?}");
            let failpoint = failpoint_after(&action);
            match action {
                Action::Send(command) => self.child.send(command),
                Action::Kill => self.child.kill(),
                Action::ReleaseKeys => self.child.release_keys(),
                Action::SendIdentity(identity) => self.send_identity(identity),
                Action::Emit(event) => self.pending.push_back(event),
                Action::Reach(stage) => {
                    self.pending.push_back(VmEvent::Stage { stage, elapsed: self.started.elapsed() });
                }
            }
            failpoint.into_iter().for_each(failpoints::hit);
        }
    }
}

fn failpoint_after(action: &Action) -> Option<FailPoint> {
    Some(match action {
        Action::Send(Command::Powerdown) => FailPoint::PowerButton,
        Action::Send(Command::Quit) => FailPoint::QuitSent,
        Action::Send(Command::Step(Step::Save, _)) => FailPoint::Saving,
        Action::SendIdentity(_) => FailPoint::Entered,
        _ => return None,
    })
}

fn failpoint_at(event: &VmEvent) -> Option<FailPoint> {
    Some(match event {
        VmEvent::Stage { stage: Stage::Kernel, .. } => FailPoint::Kernel,
        VmEvent::Stage { stage: Stage::Services, .. } => FailPoint::Services,
        VmEvent::Stage { stage: Stage::Ready, .. } => FailPoint::Ready,
        _ => return None,
    })
}

#[cfg(all(test, unix))]
mod texts;
