//! A clock for limits that stops while the host is suspended: the VM is suspended too, so no limit may expire.

use std::time::{Duration, Instant};

/// More than twice the longest time between two readings: the rest of a longer gap is not counted.
const LONGEST: Duration = Duration::from_secs(3);

pub struct SuspendClock {
    last: Instant,
    not_counted: Duration,
}

impl SuspendClock {
    pub fn start(now: Instant) -> Self {
        Self { last: now, not_counted: Duration::ZERO }
    }

    pub fn now(&mut self) -> Instant {
        self.at(Instant::now())
    }

    fn at(&mut self, now: Instant) -> Instant {
        self.not_counted += now.duration_since(self.last).saturating_sub(LONGEST);
        self.last = now;
        now - self.not_counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspended_time_does_not_count() {
        let start = Instant::now();
        let (second, night) = (Duration::from_secs(1), Duration::from_secs(8 * 3600));
        let mut clock = SuspendClock::start(start);
        assert_eq!(clock.at(start + second), start + second);
        assert_eq!(clock.at(start + second + night), start + second + LONGEST);
        assert_eq!(clock.at(start + 2 * second + night), start + 2 * second + LONGEST);
    }
}
