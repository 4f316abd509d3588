//! Copies of files to and from VMs, and between them: a stream of files (src/tree) from one end to the other. Each end is this
//! process, or the agent of a VM behind ssh. What comes from a guest is not trusted: its files are written by src/tree, its
//! messages are cleaned.

mod progress;

use self::progress::Progress;
use super::exec::{self, Place};
use super::{End, Terminal};
use crate::error::{Error, Kind, Result};
use crate::model::units::VmName;
use crate::protocol::request::{Bytes, Request};
use crate::sys::printable::clean;
use crate::sys::{ProcessId, StopHandle, output};
use crate::tree::{self, Target};
use anyhow::{Context, anyhow};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The most that is printed of what a guest reports about a copy, and its longest line in bytes.
const MAX_LINES: usize = 100;
const MAX_LINE: u64 = 4096;

/// Copies all ends but the last one to the last. A VM is behind the OpenSSH configuration that `config` has for it.
///
/// # Errors
/// Something was not copied. What is printed before says what.
pub fn copy(ends: &[End<'_>], config: impl Fn(&VmName) -> PathBuf, stop: &StopHandle) -> Result<()> {
    let Some((target, sources)) = ends.split_last() else { return Err(Error::bad_input("nothing to copy")) };
    let guests = Guests { config: &config, started: Arc::default() };
    let to_end = guests.started.clone();
    let _listening = stop.wake(move || end_all(&to_end)).context("can't handle Ctrl-C")?;
    let mut complete = true;
    // Sources of one place, one after the other, are one stream.
    for group in sources.chunk_by(|a, b| place(a) == place(b)) {
        complete &= guests.transfer(group, target, sources.len() == 1)?;
        if stop.requests() > 0 {
            return Err(Error::new(Kind::Failed, "the copy was cancelled; what was complete stays"));
        }
    }
    if complete { Ok(()) } else { Err(Error::new(Kind::Failed, "not everything was copied")) }
}

fn place<'a>(end: &'a End<'_>) -> Option<&'a VmName> {
    match end {
        End::Guest(name, _) => Some(name),
        End::Host(_) => None,
    }
}

fn path<'a>(end: &End<'a>) -> &'a OsStr {
    match end {
        End::Host(path) | End::Guest(_, path) => path,
    }
}

/// The connections of a copy, so that a cancelled one ends them.
type Started = Arc<Mutex<Vec<ProcessId>>>;

fn end_all(started: &Started) {
    for connection in started.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = connection.kill();
    }
}

struct Guests<'a> {
    config: &'a dyn Fn(&VmName) -> PathBuf,
    started: Started,
}

impl Guests<'_> {
    /// Whether everything was copied.
    fn transfer(&self, sources: &[End<'_>], target: &End<'_>, is_only_source: bool) -> Result<bool> {
        let mut progress = Progress::default();
        match (place(&sources[0]), target) {
            (None, End::Guest(name, to)) => {
                let paths: Vec<_> = sources.iter().map(|source| PathBuf::from(path(source))).collect();
                let mut guest = self.start(name, &unpack(to, is_only_source), true, false)?;
                let sent = tree::pack(&paths, guest.stdin()?, &mut progress);
                let received = guest.finish(&progress)?;
                // A guest that has ended says more about it than the pipe to it.
                if received {
                    sent.context("can't send the files")?;
                }
                Ok(received && progress.complete())
            }
            (Some(name), End::Host(to)) => {
                // Before the guest sends anything.
                let path = Path::new(to);
                let to = Target::new(path, is_only_source)
                    .with_context(|| format!("can't copy to {}", path.display()))?;
                let mut guest = self.start(name, &pack(sources), false, true)?;
                let received = tree::unpack(guest.stdout()?, to, &mut progress);
                let sent = guest.finish(&progress)?;
                if sent {
                    received.context("the copy is not complete")?;
                }
                Ok(sent && progress.complete())
            }
            (Some(from), End::Guest(to, to_path)) => {
                let mut receiver = self.start(to, &unpack(to_path, is_only_source), true, false)?;
                let mut sender = self.start(from, &pack(sources), false, true)?;
                let relayed = relay(sender.stdout()?, receiver.stdin()?, &mut progress);
                let (sent, received) = (sender.finish(&progress)?, receiver.finish(&progress)?);
                if sent && received {
                    relayed.context("the copy is not complete")?;
                }
                Ok(sent && received)
            }
            (None, End::Host(_)) => {
                Err(Error::bad_input("both paths are on this machine")
                    .hint("write NAME:PATH for a path in a VM"))
            }
        }
    }

    fn start(&self, name: &VmName, request: &Request, input: bool, output: bool) -> Result<Guest> {
        let stream = |is_used| if is_used { Stdio::piped() } else { Stdio::null() };
        let place = Place { config: (self.config)(name), name: name.clone(), root: false };
        let mut ssh = exec::ssh(&place, Terminal::None, request);
        ssh.stdin(stream(input)).stdout(stream(output)).stderr(Stdio::piped());
        let mut child = ssh.spawn().context("can't start ssh")?;
        let messages = child.stderr.take().map(|from| {
            let name = name.clone();
            std::thread::spawn(move || messages(from, &name))
        });
        self.started.lock().unwrap_or_else(PoisonError::into_inner).extend(ProcessId::of(child.id()));
        Ok(Guest { child, messages })
    }
}

fn bytes(path: &OsStr) -> Bytes {
    Bytes(path.as_encoded_bytes().to_vec())
}

fn pack(sources: &[End<'_>]) -> Request {
    Request::Pack { paths: sources.iter().map(|source| bytes(path(source))).collect() }
}

fn unpack(target: &OsStr, is_only_source: bool) -> Request {
    Request::Unpack { target: bytes(target), is_only_source }
}

/// One end of a copy, in a VM.
struct Guest {
    child: Child,
    messages: Option<JoinHandle<Vec<String>>>,
}

impl Guest {
    fn stdin(&mut self) -> Result<impl Write + use<>> {
        Ok(self.child.stdin.take().ok_or_else(|| anyhow!("ssh has no input"))?)
    }

    fn stdout(&mut self) -> Result<impl Read + use<>> {
        Ok(self.child.stdout.take().ok_or_else(|| anyhow!("ssh has no output"))?)
    }

    /// Prints what the guest reports. Whether it has done its part of the copy.
    fn finish(mut self, progress: &Progress) -> Result<bool> {
        let status = self.child.wait().context("can't wait for ssh")?;
        let messages = self.messages.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        progress.suspend(|| messages.iter().for_each(output::error_line));
        Ok(status.success())
    }
}

/// The lines of a guest's end, clean, and not more than a person reads.
fn messages(from: ChildStderr, name: &VmName) -> Vec<String> {
    let mut from = BufReader::new(from);
    let (mut lines, mut more) = (Vec::new(), 0_usize);
    loop {
        let mut line = Vec::new();
        match (&mut from).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(1..) if lines.len() < MAX_LINES => lines.push(format!("{name}: {}", clean(&line))),
            Ok(1..) => more += 1,
            _ => break,
        }
    }
    if more > 0 {
        lines.push(format!("{name}: and {more} more"));
    }
    lines
}

fn relay(mut from: impl Read, mut to: impl Write, progress: &mut Progress) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(length) => {
                to.write_all(&buffer[..length])?;
                progress.add(length as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(e),
        }
    }
}
