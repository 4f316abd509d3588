//! When a VM that a full disk has paused is resumed without being asked to.

use std::time::{Duration, Instant};

/// The least space, in bytes, that a guest's next writes are likely to fit in.
const NEEDED: u64 = 64 << 20;

/// A disk can be full although it has space (a quota, no more inodes), and then each attempt pauses the VM again.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct ResumeAttempts {
    last: Option<Instant>,
}

impl ResumeAttempts {
    /// Whether to make an attempt now, which then counts as made. `free`: the disk's, in bytes.
    pub fn is_due(&mut self, free: u64, now: Instant) -> bool {
        let due = free >= NEEDED && self.last.is_none_or(|last| now - last >= INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_space_is_tried_at_once_and_then_once_a_minute() {
        let (mut attempts, now) = (ResumeAttempts::default(), Instant::now());
        assert!(!attempts.is_due(NEEDED - 1, now));
        let due = (0..180).filter(|s| attempts.is_due(NEEDED, now + Duration::from_secs(*s)));
        assert_eq!(due.collect::<Vec<_>>(), [0, 60, 120]);
    }
}
