//! A thread for each of QEMU's streams. It reads the stream to its end, logs it, keeps the last lines, and sends only
//! those events that the state machine needs.

use super::process::Streams;
use super::sanitize::{Lines, Tail};
use super::state_machine::Event;
use super::{Launch, Tails, control};
use crate::protocol::GuestEvent;
use crate::qemu::qmp;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Events that may wait; a QEMU that sends more is slowed down.
const WAITING: usize = 64;

/// systemd's welcome line; the name after these words is coloured.
const WELCOME: &[u8] = b"Welcome to ";

/// How many of the guest's messages are logged.
const GUEST_MESSAGES: usize = 1000;

/// And how many are printed on the launcher's terminal.
const GUEST_NOTICES: usize = 5;

/// The last lines of each stream, for the report at the end.
pub struct Readers {
    console: Arc<Mutex<Tail>>,
    qemu: Arc<Mutex<Tail>>,
}

/// Wakes the thread that waits for an event. If the channel is full, it is awake already.
pub struct Waker(SyncSender<Event>);

impl Waker {
    pub fn wake(&self) {
        let _ = self.0.try_send(Event::Tick);
    }
}

impl Readers {
    /// The channel closes when every stream has ended and the waker is dropped.
    pub fn start(streams: Streams, launch: &Launch) -> Result<(Self, Receiver<Event>, Waker)> {
        let (events, receiver) = sync_channel(WAITING);
        let readers = Self { console: Arc::default(), qemu: Arc::default() };
        let log = Log::open(launch.console_log.as_deref())?;
        spawn("console", read_console(streams.console, log, readers.console.clone(), events.clone()))?;
        let log = Log::open(launch.qemu_log.as_deref())?;
        spawn("qemu", read_stderr(streams.stderr, log, readers.qemu.clone(), events.clone()))?;
        spawn("control", read_control(streams.control, events.clone()))?;
        spawn("qmp", read_qmp(streams.qmp, events.clone()))?;
        Ok((readers, receiver, Waker(events)))
    }

    pub fn tails(&self) -> Tails {
        Tails { console: lock(&self.console).lines(), qemu: lock(&self.qemu).lines() }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, reader: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(reader).context("can't start a thread")?;
    Ok(())
}

/// Reads to the end. A read error counts as the end.
fn drain(mut stream: impl Read, mut each: impl FnMut(&[u8])) {
    let mut buffer = [0; 8192];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => each(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => (),
            Err(e) => return tracing::debug!("reading one of QEMU's channels failed: {e}"),
        }
    }
}

fn read_qmp(stream: impl Read, events: SyncSender<Event>) -> impl FnOnce() {
    move || {
        let mut lines = Lines::new(qmp::LINE_BYTES);
        drain(stream, |bytes| {
            lines.push(bytes, |line| {
                if let Some(message) = qmp::parse(line) {
                    let _ = events.send(Event::Qmp(message));
                }
            });
        });
        let _ = events.send(Event::QmpClosed);
    }
}

fn read_console(
    stream: impl Read,
    mut log: Log,
    tail: Arc<Mutex<Tail>>,
    events: SyncSender<Event>,
) -> impl FnOnce() {
    move || {
        let (mut alive, mut welcomed) = (false, false);
        drain(stream, |bytes| {
            log.append(bytes);
            if !std::mem::replace(&mut alive, true) {
                let _ = events.send(Event::ConsoleByte);
            }
            let mut welcomes = false;
            lock(&tail).push(bytes, |line| welcomes |= line.windows(WELCOME.len()).any(|w| w == WELCOME));
            if welcomes && !std::mem::replace(&mut welcomed, true) {
                let _ = events.send(Event::Welcome);
            }
        });
    }
}

fn read_control(stream: impl Read, events: SyncSender<Event>) -> impl FnOnce() {
    move || {
        let mut lines = Lines::new(control::LINE_BYTES);
        let (mut messages, mut notices) = (0, 0);
        drain(stream, |bytes| {
            lines.push(bytes, |line| match control::parse(line) {
                Some(GuestEvent::Notice { message }) if notices < GUEST_NOTICES => {
                    notices += 1;
                    let _ = events.send(Event::Guest(GuestEvent::Notice { message }));
                }
                Some(GuestEvent::Notice { .. }) => {}
                Some(GuestEvent::Log { message }) => {
                    messages += 1;
                    if messages <= GUEST_MESSAGES {
                        tracing::info!("guest: {message}");
                    }
                }
                Some(report) => drop(events.send(Event::Guest(report))),
                None => tracing::debug!("ignored a line from the guest that is no message"),
            });
        });
    }
}

/// Sends nothing. It keeps `events` so that the channel stays open while there may be more to read.
fn read_stderr(
    stream: impl Read,
    mut log: Log,
    tail: Arc<Mutex<Tail>>,
    events: SyncSender<Event>,
) -> impl FnOnce() {
    move || {
        drain(stream, |bytes| {
            log.append(bytes);
            lock(&tail).push(bytes, |_| ());
        });
        drop(events);
    }
}

/// A file that grows up to a limit. Failed writes are ignored: a full disk must not stop a VM.
struct Log {
    file: Option<File>,
    bytes_left: u64,
}

impl Log {
    const MAX_BYTES: u64 = 16 << 20;

    /// Without a path, nothing is written.
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, bytes_left: 0 }) };
        let cannot = || format!("can't write {}", path.display());
        let file = File::options().create(true).append(true).open(path).with_context(cannot)?;
        let length = file.metadata().with_context(cannot)?.len();
        Ok(Self { file: Some(file), bytes_left: Self::MAX_BYTES.saturating_sub(length) })
    }

    fn append(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(usize::try_from(self.bytes_left).unwrap_or(usize::MAX));
        if let Some(file) = self.file.as_mut().filter(|_| fits > 0)
            && file.write_all(&bytes[..fits]).is_ok()
        {
            self.bytes_left -= fits as u64;
        }
    }
}
