//! Requests from outside to stop: Ctrl-C, SIGTERM, SIGHUP; on Windows Ctrl-C, Ctrl-Break and closing the
//! console.

use super::os;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Waker = Box<dyn Fn() + Send>;

/// How often the process was asked to stop. One for the whole process: several VMs started one after
/// another look at the same count, so that a request between two of them is not lost.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    received: u32,
    waker: Option<Waker>,
    /// Taken over, and not listened to yet.
    requests: Option<os::StopRequests>,
}

impl Signals {
    /// Takes over the process's signals, once. They wait until the first [`Self::wake`]: the thread that hears them comes
    /// after QEMU's start, which takes longer beside a second thread (both write to memory that the fork shares).
    ///
    /// # Errors
    /// They are taken over already.
    pub fn install() -> io::Result<Self> {
        let requests = Some(os::take_over_stop_requests()?);
        Ok(Self(Arc::new(Mutex::new(State { requests, ..State::default() }))))
    }

    /// As if a signal had arrived.
    pub fn raise(&self) {
        let mut state = self.state();
        state.received += 1;
        if let Some(wake) = &state.waker {
            wake();
        }
    }

    pub fn received(&self) -> u32 {
        self.state().received
    }

    /// Calls `wake` (which must not block) at each request, as long as the result lives; those that have arrived before
    /// are among them.
    ///
    /// # Errors
    /// No thread can be made to listen.
    pub(super) fn wake(&self, wake: impl Fn() + Send + 'static) -> io::Result<Awake> {
        self.state().waker = Some(Box::new(wake));
        let requests = self.state().requests.take();
        if let Some(requests) = requests {
            let this = self.clone();
            requests.listen(move || this.raise())?;
        }
        Ok(Awake(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Awake(Signals);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.state().waker = None;
    }
}
