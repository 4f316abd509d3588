//! Flow control towards the client: what it sends waits here until a process or socket takes it, and it is
//! slowed down when too much waits.
//!
//! russh opens a channel's receive window again as soon as data has arrived, whether or not anybody took it. If
//! the reader of a channel just stopped reading, russh's own loop would stop with it, and with that loop every
//! channel of the connection and the output that the reader may be waiting for: `cat` with a large input would
//! hang for ever. So a channel's reader never stops; it fills an [`Inbox`]. What is left to us is how far russh
//! opens windows:
//!
//! ```text
//! waiting < HIGH   windows are opened to WINDOW
//! waiting ≥ HIGH   windows are opened to TRICKLE, and each trickle is answered late
//! ```
//!
//! The client then sends 16 bytes now and again, which keeps alive the only occasion at which russh will open the
//! window wide again. The memory of a connection is bounded by HIGH + WINDOW for each channel that uploads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Bytes that the client may send on a channel before the server grants more.
pub const WINDOW: u32 = 1 << 20;
/// The window of a channel that has to wait, in bytes.
const TRICKLE: u32 = 16;
/// From here on a connection has to wait, in bytes.
const HIGH: usize = 1 << 20;
/// The longest time that a trickle goes without an answer. It delays the whole connection, so it is short.
const PAUSE: Duration = Duration::from_millis(50);
/// The most that is handed over at once, in bytes.
const CHUNK: usize = 256 << 10;

/// How much waits in all inboxes of one connection.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: AtomicUsize,
    drained: Notify,
}

impl Backlog {
    /// How far to open the next window.
    pub fn next_window(&self) -> u32 {
        if self.is_high() { TRICKLE } else { WINDOW }
    }

    /// Called with what is left of a channel's window when data has arrived on it. Returns at once unless the
    /// channel trickles; then when there is room again, or after PAUSE.
    pub async fn pace(&self, window_left: usize) {
        if window_left <= TRICKLE as usize && self.is_high() {
            let drained = self.drained.notified();
            if self.is_high() {
                let _ = tokio::time::timeout(PAUSE, drained).await;
            }
        }
    }

    fn is_high(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= HIGH
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before >= HIGH && before - bytes < HIGH {
            self.drained.notify_waiters();
        }
    }
}

/// The bytes of one channel that nobody has taken yet, in order.
#[derive(Debug)]
pub struct Inbox {
    backlog: Arc<Backlog>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    ended: bool,
    unwanted: bool,
}

impl Inbox {
    pub fn new(backlog: Arc<Backlog>) -> Self {
        Self { backlog, state: Mutex::default(), changed: Notify::new() }
    }

    pub fn push(&self, data: &[u8]) {
        let mut state = self.lock();
        if state.ended || state.unwanted {
            return;
        }
        self.backlog.add(data.len());
        state.bytes.extend(data);
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// Nobody will take anything any more: what waits and what comes is dropped.
    pub fn discard(&self) {
        let mut state = self.lock();
        state.unwanted = true;
        self.backlog.remove(std::mem::take(&mut state.bytes).len());
    }

    /// The next bytes, or None after the last.
    pub async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.lock();
                let (front, _) = state.bytes.as_slices();
                if !front.is_empty() {
                    let chunk = front[..front.len().min(CHUNK)].to_vec();
                    state.bytes.drain(..chunk.len());
                    if state.bytes.is_empty() && state.bytes.capacity() > CHUNK {
                        state.bytes = VecDeque::new();
                    }
                    self.backlog.remove(chunk.len());
                    return Some(chunk);
                }
                if state.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_pushed_comes_out_in_order_and_then_the_end() {
        let inbox = Inbox::new(Arc::default());
        inbox.push(b"ab");
        inbox.push(b"c");
        inbox.end();
        inbox.push(b"after the end");
        let mut all = Vec::new();
        while let Some(chunk) = inbox.next().await {
            all.extend(chunk);
        }
        assert_eq!(all, b"abc");
    }

    #[tokio::test]
    async fn windows_shrink_while_much_waits_and_open_when_it_is_taken() {
        let backlog = Arc::new(Backlog::default());
        let inbox = Inbox::new(backlog.clone());
        assert_eq!(backlog.next_window(), WINDOW);
        inbox.push(&vec![0; HIGH]);
        assert_eq!(backlog.next_window(), TRICKLE);
        inbox.next().await;
        assert_eq!(backlog.next_window(), WINDOW);
    }

    #[test]
    fn an_inbox_that_goes_away_takes_its_backlog_with_it() {
        let backlog = Arc::new(Backlog::default());
        let kept = Inbox::new(backlog.clone());
        let unwanted = Inbox::new(backlog.clone());
        kept.push(&vec![0; HIGH]);
        unwanted.discard();
        unwanted.push(&vec![0; HIGH]);
        drop(kept);
        assert_eq!(backlog.bytes.load(Ordering::Relaxed), 0);
    }
}
