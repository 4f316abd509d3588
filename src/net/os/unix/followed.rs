//! The host's resolvers, which may be others from one hour to the next.

use crate::net::resolvers::{FILE, Resolvers};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

/// How often the host's resolvers are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The host's resolvers, followed while the VM runs.
#[derive(Default)]
pub struct Followed {
    pub current: Resolvers,
    changed: Option<SystemTime>,
    looked: Option<Instant>,
}

impl Followed {
    /// Whether they are others than before.
    pub fn look(&mut self) -> bool {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK) {
            return false;
        }
        let is_first = self.looked.replace(now).is_none();
        let changed = fs::metadata(FILE).and_then(|file| file.modified()).ok();
        if !is_first && changed == self.changed {
            return false;
        }
        self.changed = changed;
        let found = Resolvers::parse(&fs::read_to_string(FILE).unwrap_or_default());
        let differs = found != self.current;
        self.current = found;
        differs
    }
}
