//! A limit on how often a file is written for what a guest reports, since the guest decides how often it reports.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(250);

/// Changes are collected for a quarter of a second, and then written at once.
#[derive(Debug, Default)]
pub struct WriteLimit {
    /// When the first change came that is not written yet.
    changed: Option<Instant>,
}

impl WriteLimit {
    pub fn changed(&mut self, now: Instant) {
        self.changed.get_or_insert(now);
    }

    /// Whether it is time to write.
    pub fn is_due(&self, now: Instant) -> bool {
        self.changed.is_some_and(|changed| now.duration_since(changed) >= INTERVAL)
    }

    pub fn written(&mut self) {
        self.changed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_is_written_four_times_a_second_and_the_last_of_them_too() {
        let (start, mut limit, mut written) = (Instant::now(), WriteLimit::default(), Vec::new());
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if millisecond < 9_000 {
                limit.changed(now);
            }
            if limit.is_due(now) {
                limit.written();
                written.push(millisecond);
            }
        }
        assert!((30..=40).contains(&written.len()), "{written:?}");
        assert!(written.windows(2).all(|pair| pair[1] - pair[0] >= 250), "{written:?}");
        assert!(*written.last().unwrap() >= 8_999, "the last change was not written");
    }
}
