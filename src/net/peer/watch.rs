//! What the event loop waits for: sockets of the host, and times. Each has a key.

#[cfg_attr(target_os = "linux", path = "watch/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "watch/other.rs")]
mod queue;

use queue::Queue;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

/// Lower keys are the event loop's own.
const FIRST: usize = 16;

/// What is looked for: that a socket can be read, and that it can be written.
pub type Interest = (bool, bool);

/// A socket that can be read or written. One that has failed is both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
}

pub struct Watch {
    queue: Queue,
    /// What the queue was told of each socket.
    sockets: HashMap<usize, (RawFd, Interest)>,
    deadlines: BTreeSet<(Instant, usize)>,
    deadline_of: HashMap<usize, Instant>,
    next_key: usize,
}

impl Watch {
    /// # Errors
    /// The system has no event queue.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Queue::new()?,
            sockets: HashMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: HashMap::new(),
            next_key: FIRST,
        })
    }

    /// A key that nothing else has.
    pub fn key(&mut self) -> usize {
        self.next_key += 1;
        self.next_key
    }

    /// Waits for an event or the next deadline, at most so long.
    pub fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Ready>> {
        let next = || {
            let (deadline, _) = self.deadlines.first()?;
            Some(deadline.saturating_duration_since(Instant::now()))
        };
        self.queue.wait(at_most.or_else(next))
    }

    /// The key of a deadline that is over, which is then none any more.
    pub fn next_over(&mut self, now: Instant) -> Option<usize> {
        let &(deadline, key) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.set_deadline(key, None);
        Some(key)
    }

    pub fn has(&self, key: usize) -> bool {
        self.sockets.contains_key(&key)
    }

    /// Looks for this from now on. The socket must stay open until [`Self::unwatch`] or [`Self::forget`].
    pub fn watch(&mut self, key: usize, socket: &impl AsRawFd, interest: Interest) {
        // It would still report a hang-up, again and again.
        if interest == (false, false) {
            return self.unwatch(key);
        }
        let socket = socket.as_raw_fd();
        // SAFETY: the owner of the descriptor keeps it open until after `unwatch`.
        let borrowed = unsafe { BorrowedFd::borrow_raw(socket) };
        let told = match self.sockets.get(&key) {
            Some((_, before)) if *before == interest => return,
            Some(_) => self.queue.change(borrowed, key, interest),
            None => self.queue.add(borrowed, key, interest),
        };
        if told.is_ok() {
            self.sockets.insert(key, (socket, interest));
        }
    }

    pub fn unwatch(&mut self, key: usize) {
        if let Some((socket, _)) = self.sockets.remove(&key) {
            // SAFETY: it is still open: its owner calls this first.
            let borrowed = unsafe { BorrowedFd::borrow_raw(socket) };
            self.queue.remove(borrowed);
        }
    }

    pub fn set_deadline(&mut self, key: usize, deadline: Option<Instant>) {
        if let Some(before) = self.deadline_of.remove(&key) {
            self.deadlines.remove(&(before, key));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
            self.deadline_of.insert(key, deadline);
        }
    }

    /// Neither the socket nor the deadline of this key is waited for any more.
    pub fn forget(&mut self, key: usize) {
        self.unwatch(key);
        self.set_deadline(key, None);
    }

    /// The next deadline.
    #[cfg(test)]
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many things are waited for.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sockets.len().max(self.deadline_of.len())
    }
}
