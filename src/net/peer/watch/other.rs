//! Elsewhere: kqueue(2), as the crate polling uses it.

use super::{Interest, Ready};
use polling::{Event, Events, PollMode, Poller};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

pub struct Queue {
    poller: Poller,
    events: Events,
}

impl Queue {
    pub fn new() -> io::Result<Self> {
        Ok(Self { poller: Poller::new()?, events: Events::new() })
    }

    pub fn add(&self, socket: BorrowedFd<'_>, key: usize, interest: Interest) -> io::Result<()> {
        // SAFETY: its owner removes it from the queue before it is closed (`Watch::watch`).
        unsafe { self.poller.add_with_mode(socket.as_raw_fd(), event(key, interest), PollMode::Level) }
    }

    pub fn change(&self, socket: BorrowedFd<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.poller.modify_with_mode(socket, event(key, interest), PollMode::Level)
    }

    pub fn remove(&self, socket: BorrowedFd<'_>) {
        let _ = self.poller.delete(socket);
    }

    /// None: for as long as it takes.
    pub fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Ready>> {
        self.events.clear();
        match self.poller.wait(&mut self.events, at_most) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => drop(other?),
        }
        let ready =
            |event: Event| Ready { key: event.key, readable: event.readable, writable: event.writable };
        Ok(self.events.iter().map(ready).collect())
    }
}

fn event(key: usize, (readable, writable): Interest) -> Event {
    Event::new(key, readable, writable)
}
