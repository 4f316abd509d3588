//! Time as the limits count it: that in which this process could look. While it was suspended, the VM was, too, and
//! nothing that is due is late.

use std::time::{Duration, Instant};

/// More than twice the longest time between two looks: the rest of a gap is not counted.
const LONGEST: Duration = Duration::from_secs(3);

pub struct Clock {
    last: Instant,
    not_counted: Duration,
}

impl Clock {
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
    fn time_in_which_nobody_looked_does_not_count() {
        let start = Instant::now();
        let (second, night) = (Duration::from_secs(1), Duration::from_secs(8 * 3600));
        let mut clock = Clock::start(start);
        assert_eq!(clock.at(start + second), start + second);
        assert_eq!(clock.at(start + second + night), start + second + LONGEST);
        assert_eq!(clock.at(start + 2 * second + night), start + 2 * second + LONGEST);
    }
}
