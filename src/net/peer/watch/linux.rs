//! Linux: epoll(7), one system call for each time that something is waited for.

use super::{Interest, Ready};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// So many are reported at once; the others a moment later.
const AT_ONCE: usize = 256;

pub struct Queue {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Queue {
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); AT_ONCE] })
    }

    pub fn add(&self, socket: BorrowedFd<'_>, key: usize, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.add(socket, event(key, interest))?)
    }

    pub fn change(&self, socket: BorrowedFd<'_>, key: usize, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(socket, &mut event(key, interest))?)
    }

    pub fn remove(&self, socket: BorrowedFd<'_>) {
        let _ = self.epoll.delete(socket);
    }

    /// None: for as long as it takes.
    pub fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Ready>> {
        // In whole milliseconds, never too early: a deadline that is not over yet would be waited for again and again.
        let milliseconds = |time: Duration| time.as_nanos().div_ceil(1_000_000);
        let timeout = at_most.map_or(EpollTimeout::NONE, |time| {
            i32::try_from(milliseconds(time)).unwrap_or(i32::MAX).try_into().unwrap_or(EpollTimeout::MAX)
        });
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Err(nix::Error::EINTR) => 0,
            other => other?,
        };
        Ok(self.events[..count].iter().map(ready).collect())
    }
}

fn event(key: usize, (readable, writable): Interest) -> EpollEvent {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, readable);
    flags.set(EpollFlags::EPOLLOUT, writable);
    EpollEvent::new(flags, key as u64)
}

fn ready(event: &EpollEvent) -> Ready {
    let flags = event.events();
    let has_failed = flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
    Ready {
        key: event.data() as usize,
        readable: has_failed || flags.contains(EpollFlags::EPOLLIN),
        writable: has_failed || flags.contains(EpollFlags::EPOLLOUT),
    }
}
