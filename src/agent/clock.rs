//! The guest's clock, set by the host's. It is wrong after the host was suspended or the VM stood still, which the host
//! notices, and after somebody here has set it, which the kernel reports. Nothing looks at it in between.

use crate::protocol::{GuestEvent, HostMessage};
use nix::libc;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An answer that took longer may have waited while the VM stood still.
const QUICK: Duration = Duration::from_millis(500);
/// Without an answer the question is asked again, this often: a host that does not answer is another launcher than ours.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 5;
/// Differences below it are within what an answer takes.
const SMALL: Duration = Duration::from_millis(50);
/// A clock that is ahead by less runs slower for a while: programs rely on time that does not go back.
const LARGE: Duration = Duration::from_secs(1);

/// What brings a clock to the host's time.
#[derive(Debug, PartialEq, Eq)]
enum Correction {
    Nothing,
    /// The clock is ahead by this much, and is to run slower.
    Slow(Duration),
    /// The clock is to be set.
    Set(Duration),
}

/// Both times are since 1970.
fn correction(guest: Duration, host: Duration) -> Correction {
    if guest.abs_diff(host) < SMALL {
        Correction::Nothing
    } else if guest > host && guest - host < LARGE {
        Correction::Slow(guest - host)
    } else {
        Correction::Set(host)
    }
}

pub struct Clock {
    /// It never expires, but is cancelled when the clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
    set: TimerFd,
    question: Option<Question>,
    token: u64,
}

struct Question {
    asked: Instant,
    attempt: u32,
}

impl Clock {
    pub fn new() -> io::Result<Self> {
        let set = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let clock = Self { set, question: None, token: 0 };
        clock.watch()?;
        Ok(clock)
    }

    /// Readable when somebody has set the clock.
    pub fn was_set(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// How long to wait for an answer.
    pub fn patience(&self) -> Option<Duration> {
        Some(PATIENCE.saturating_sub(self.question.as_ref()?.asked.elapsed()))
    }

    /// The clock may be wrong: the question for the host.
    pub fn check(&mut self) -> GuestEvent {
        self.ask(1)
    }

    /// Once the patience is over.
    pub fn ask_again(&mut self) -> Option<GuestEvent> {
        let attempt = self.question.take()?.attempt;
        (attempt < ATTEMPTS).then(|| self.ask(attempt + 1))
    }

    /// Somebody has set the clock.
    ///
    /// # Errors
    /// The kernel does not watch it any more.
    pub fn on_set(&mut self) -> io::Result<GuestEvent> {
        self.watch()?;
        Ok(self.check())
    }

    /// Handles a message of the host. Returns what to reply.
    ///
    /// # Errors
    /// The clock can't be set.
    pub fn on(&mut self, message: HostMessage) -> io::Result<Option<GuestEvent>> {
        let (token, nanoseconds) = match message {
            HostMessage::Time { token, nanoseconds } => (token, nanoseconds),
            HostMessage::CheckClock => return Ok(Some(self.check())),
            HostMessage::ShareLost { .. } | HostMessage::ShareCrowded => return Ok(None),
        };
        let Some(question) = self.question.take_if(|_| token == self.token) else { return Ok(None) };
        let took = question.asked.elapsed();
        if took > QUICK {
            return Ok((question.attempt < ATTEMPTS).then(|| self.ask(question.attempt + 1)));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match correction(now, Duration::from_nanos(nanoseconds) + took / 2) {
            Correction::Nothing => (),
            Correction::Slow(ahead) => slow(ahead)?,
            Correction::Set(time) => {
                nix::time::clock_settime(nix::time::ClockId::CLOCK_REALTIME, TimeSpec::from_duration(time))?;
                self.watch()?;
            }
        }
        Ok(None)
    }

    fn ask(&mut self, attempt: u32) -> GuestEvent {
        self.token += 1;
        self.question = Some(Question { asked: Instant::now(), attempt });
        GuestEvent::TimeQuestion { token: self.token }
    }

    /// Watches from now on: what was set before does not count.
    fn watch(&self) -> io::Result<()> {
        let never = Expiration::OneShot(TimeSpec::new(i64::MAX, 0));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        match self.set.set(never, flags) {
            // It was set meanwhile, and is watched all the same.
            Ok(()) | Err(nix::errno::Errno::ECANCELED) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// The kernel slows the clock by half a millisecond a second (adjtime(3)).
fn slow(ahead: Duration) -> io::Result<()> {
    let mut delta =
        libc::timeval { tv_sec: 0, tv_usec: ahead.as_micros().try_into().map_err(io::Error::other)? };
    delta.tv_usec = -delta.tv_usec;
    // SAFETY: the pointers are to a timeval, and to nothing.
    match unsafe { libc::adjtime(&raw const delta, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_back_only_if_it_is_far_ahead() {
        let (host, seconds) = (Duration::from_secs(1_700_000_000), Duration::from_secs);
        let small = Duration::from_millis(20);
        assert_eq!(correction(host + small, host), Correction::Nothing);
        assert_eq!(correction(host - small, host), Correction::Nothing);
        assert_eq!(correction(host - seconds(56), host), Correction::Set(host));
        assert_eq!(correction(host - Duration::from_millis(60), host), Correction::Set(host));
        let ahead = Duration::from_millis(700);
        assert_eq!(correction(host + ahead, host), Correction::Slow(ahead));
        assert_eq!(correction(host + seconds(3600), host), Correction::Set(host));
        assert_eq!(correction(Duration::ZERO, host), Correction::Set(host));
    }

    #[test]
    fn an_answer_counts_only_for_the_last_question_and_while_it_is_fresh() {
        let mut clock = Clock::new().unwrap();
        // The right time, so that nothing is set.
        let time = |token| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            HostMessage::Time { token, nanoseconds: now.as_nanos() as u64 }
        };
        let wrong = |token| HostMessage::Time { token, nanoseconds: 0 };
        assert_eq!(clock.check(), GuestEvent::TimeQuestion { token: 1 });
        assert_eq!(clock.on(HostMessage::CheckClock).unwrap(), Some(GuestEvent::TimeQuestion { token: 2 }));
        assert_eq!(clock.on(wrong(1)).unwrap(), None);
        clock.question.as_mut().unwrap().asked -= QUICK;
        assert_eq!(clock.on(wrong(2)).unwrap(), Some(GuestEvent::TimeQuestion { token: 3 }));
        assert!(clock.patience().is_some());
        assert_eq!(clock.on(time(3)).unwrap(), None);
        assert_eq!(clock.patience(), None);
        assert_eq!(clock.on(wrong(3)).unwrap(), None, "answered twice");
    }

    #[test]
    fn a_host_that_does_not_answer_is_asked_a_few_times() {
        let mut clock = Clock::new().unwrap();
        clock.check();
        let more = (0..100).take_while(|_| clock.ask_again().is_some()).count();
        assert_eq!((more, clock.patience()), (4, None));
    }
}
