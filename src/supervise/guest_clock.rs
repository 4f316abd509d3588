//! When the guest's clock may be wrong, and how it gets the host's time. Pure.
//!
//! A guest stands still while its host is suspended, QEMU is stopped or the VM is paused, and its clock with it. So the host
//! tells it to check its clock after each of these, and once in a while for what nobody has noticed. The guest then asks for
//! the time, and so it does after somebody in it has set its clock. A question has a token, by which the guest knows the
//! answer and how long it took: one that waited in QEMU while the VM stood still is too old.

use crate::protocol::HostMessage;
use std::time::{Duration, Instant, SystemTime};

/// Against what was not noticed, such as a clock that runs at a wrong pace. Each check wakes an idle guest up.
const INTERVAL: Duration = Duration::from_secs(60);

/// More than twice the longest time between two looks: in a longer one this process, and so perhaps QEMU, did not run.
const GAP: Duration = Duration::from_secs(3);

/// By how much the host's clock may be slewed between two looks.
const JUMP: Duration = Duration::from_millis(250);

/// A guest that asks more often is answered more slowly.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct GuestClock {
    /// Both clocks of this process at the last look.
    seen: (Instant, SystemTime),
    /// When the guest was last told to check; None before it has asked for the first time: nobody might read.
    checked: Option<Instant>,
    answered: Option<Instant>,
    /// The question that waits for its answer. Only the last one counts.
    question: Option<u64>,
    check: bool,
}

impl GuestClock {
    pub fn new(now: Instant, time: SystemTime) -> Self {
        Self { seen: (now, time), checked: None, answered: None, question: None, check: false }
    }

    /// The guest asks for the time.
    pub fn on_question(&mut self, token: u64, now: Instant) {
        self.question = Some(token);
        self.checked.get_or_insert(now);
    }

    /// The VM has stood still.
    pub fn on_standstill(&mut self) {
        self.check = true;
    }

    /// What to send to the guest now.
    pub fn look(&mut self, now: Instant, time: SystemTime) -> Option<HostMessage> {
        let (last, last_time) = std::mem::replace(&mut self.seen, (now, time));
        let gone = now.duration_since(last);
        // The clock that stops with the host, and the one that does not.
        let expected = last_time + gone;
        let jump = time.duration_since(expected).unwrap_or_else(|earlier| earlier.duration());
        self.check |= gone > GAP || jump > JUMP;
        let checked = self.checked?;
        if self.answered.is_none_or(|at| now.duration_since(at) >= BETWEEN_ANSWERS)
            && let Some(token) = self.question.take()
        {
            self.answered = Some(now);
            let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // Until the year 2554.
            return Some(HostMessage::Time {
                token,
                nanoseconds: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
            });
        }
        if std::mem::take(&mut self.check) || now.duration_since(checked) >= INTERVAL {
            self.checked = Some(now);
            return Some(HostMessage::CheckClock);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Option<HostMessage> = Some(HostMessage::CheckClock);

    /// A guest's clock, and both clocks of the host.
    struct Play {
        clock: GuestClock,
        now: Instant,
        time: SystemTime,
    }

    impl Play {
        fn new() -> Self {
            let (now, time) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
            Self { clock: GuestClock::new(now, time), now, time }
        }

        /// One whose guest has asked, and has its answer.
        fn answered() -> Self {
            let mut play = Self::new();
            play.clock.on_question(1, play.now);
            assert!(matches!(play.after(0), Some(HostMessage::Time { token: 1, .. })));
            play
        }

        fn after(&mut self, seconds: u64) -> Option<HostMessage> {
            self.now += Duration::from_secs(seconds);
            self.time += Duration::from_secs(seconds);
            self.clock.look(self.now, self.time)
        }
    }

    #[test]
    fn the_answer_has_the_hosts_time_and_the_token_of_the_last_question() {
        let mut play = Play::new();
        play.clock.on_question(7, play.now);
        play.clock.on_question(8, play.now);
        let answer = HostMessage::Time { token: 8, nanoseconds: 1_700_000_001_000_000_000 };
        assert_eq!(play.after(1), Some(answer));
        assert_eq!(play.after(1), None);
    }

    #[test]
    fn the_guest_checks_its_clock_after_a_suspend_of_the_host_and_after_the_vm_stood_still() {
        // A clock that stops with the host.
        let mut play = Play::answered();
        play.time += Duration::from_secs(3600);
        assert_eq!(play.after(1), CHECK);
        assert_eq!(play.after(1), None);
        // One that does not: the launcher did not run.
        assert_eq!(play.after(3600), CHECK);
        // The host's clock was set back.
        play.time -= Duration::from_secs(2);
        assert_eq!(play.after(1), CHECK);
        play.clock.on_standstill();
        assert_eq!(play.after(1), CHECK);
        assert_eq!(play.after(1), None);
    }

    #[test]
    fn an_idle_guest_is_woken_once_a_minute_and_one_that_never_asked_not_at_all() {
        let mut play = Play::answered();
        assert_eq!((0..600).filter(|_| play.after(1).is_some()).count(), 10);
        let mut silent = Play::new();
        silent.clock.on_standstill();
        assert_eq!((0..600).filter(|_| silent.after(1).is_some()).count(), 0);
    }

    #[test]
    fn a_guest_that_floods_the_host_with_questions_gets_two_answers_a_second() {
        let mut play = Play::new();
        let mut answers = 0;
        for token in 0..10_000 {
            play.now += Duration::from_millis(1);
            play.time += Duration::from_millis(1);
            play.clock.on_question(token, play.now);
            answers += usize::from(play.clock.look(play.now, play.time).is_some());
        }
        assert_eq!(answers, 20);
    }
}
