//! Stop requests: Ctrl-C, SIGTERM, SIGHUP; on Windows the console's events and `virtualghost stop`. While a program runs in a
//! VM for this process, they are for that program.

use super::os;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Waker = Box<dyn Fn() + Send>;
/// Returns whether it took the signal.
type Receiver = Box<dyn Fn(StopSignal) -> bool + Send>;

/// A signal that a process may be sent to stop, or to tell it something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    HangUp,
    Interrupt,
    Quit,
    User1,
    User2,
    Terminate,
}

impl StopSignal {
    /// Those that stop a VM.
    pub const STOP: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];
    pub const ALL: [Self; 6] =
        [Self::HangUp, Self::Interrupt, Self::Quit, Self::User1, Self::User2, Self::Terminate];

    /// Its name without SIG.
    pub fn name(self) -> &'static str {
        match self {
            Self::HangUp => "HUP",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::User1 => "USR1",
            Self::User2 => "USR2",
            Self::Terminate => "TERM",
        }
    }

    /// The status that shells give to a program that it ended: 128 and its number in the guest (signal(7)).
    pub fn status(self) -> u8 {
        128 + match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::User1 => 10,
            Self::User2 => 12,
            Self::Terminate => 15,
        }
    }
}

/// Stops a VM: the first request powers it off, a second one or [`Self::force`] stops it at once. One handle is used for
/// all QEMUs of a launch, one after the other, so a request between two of them is not lost.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Mutex<Requests>>);

#[derive(Default)]
struct Requests {
    requests: u32,
    forced: bool,
    waker: Option<Waker>,
    receiver: Option<Receiver>,
    /// The process's signals, caught but not read yet.
    signals: Option<os::StopRequests>,
}

impl StopHandle {
    /// Catches the process's signals, once. They are queued until the first [`Self::wake`]: the thread that reads them starts
    /// after QEMU, because a fork is slower with a second thread (both write to memory that the fork shares).
    ///
    /// # Errors
    /// They are caught already.
    pub fn of_this_process() -> io::Result<Self> {
        Self::of_signals(&StopSignal::STOP)
    }

    /// The same for other signals than those that stop a VM, too.
    ///
    /// # Errors
    /// They are caught already.
    pub fn of_signals(signals: &[StopSignal]) -> io::Result<Self> {
        let signals = Some(os::take_over_stop_requests(signals)?);
        Ok(Self(Arc::new(Mutex::new(Requests { signals, ..Requests::default() }))))
    }

    /// Requests an orderly stop.
    pub fn request(&self) {
        self.change(|state| state.requests += 1);
    }

    /// Stops it without waiting for the guest.
    pub fn force(&self) {
        self.change(|state| state.forced = true);
    }

    /// How often a stop was requested.
    pub fn requests(&self) -> u32 {
        self.state().requests
    }

    pub fn is_forced(&self) -> bool {
        self.state().forced
    }

    /// Calls `wake` (which must not block) at each request until the result is dropped; also for signals that arrived
    /// before.
    ///
    /// # Errors
    /// The thread that reads the signals can't be started.
    pub fn wake(&self, wake: impl Fn() + Send + 'static) -> io::Result<WakerGuard> {
        self.state().waker = Some(Box::new(wake));
        let signals = self.state().signals.take();
        if let Some(signals) = signals {
            let this = self.clone();
            signals.listen(move |signal| this.on_signal(signal))?;
        }
        Ok(WakerGuard(self.clone()))
    }

    /// Gives the process's signals to `receiver` (which must not block) until the result is dropped. One that it does not
    /// take is a request to stop.
    pub fn divert(&self, receiver: impl Fn(StopSignal) -> bool + Send + 'static) -> DiversionGuard {
        self.state().receiver = Some(Box::new(receiver));
        DiversionGuard(self.clone())
    }

    fn on_signal(&self, signal: StopSignal) {
        let taken = self.state().receiver.as_ref().is_some_and(|receiver| receiver(signal));
        if !taken {
            self.request();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Requests)) {
        let mut state = self.state();
        change(&mut state);
        if let Some(wake) = &state.waker {
            wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct WakerGuard(StopHandle);

impl Drop for WakerGuard {
    fn drop(&mut self) {
        self.0.state().waker = None;
    }
}

pub struct DiversionGuard(StopHandle);

impl Drop for DiversionGuard {
    fn drop(&mut self) {
        self.0.state().receiver = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_request_to_stop_unless_somebody_else_takes_it() {
        let stop = StopHandle::default();
        let diverted = stop.divert(|signal| signal == StopSignal::User1);
        stop.on_signal(StopSignal::User1);
        assert_eq!(stop.requests(), 0);
        stop.on_signal(StopSignal::Terminate);
        assert_eq!(stop.requests(), 1);
        drop(diverted);
        stop.on_signal(StopSignal::User1);
        assert_eq!(stop.requests(), 2);
    }
}
