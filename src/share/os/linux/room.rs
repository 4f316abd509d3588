//! Room for files: each one that the guest's kernel remembers is a descriptor of the server. When most of them are in use, the
//! launcher lets the guest forget those not in use, and until it has, the server takes its time.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// What the launcher reads: most descriptors are in use.
const CROWDED: u8 = b'c';
/// So many files are between two looks at the descriptors.
const OFTEN: u64 = 16;
const SELDOM: u64 = 256;
/// For each file while there is little room. The guest needs a second or two.
const PAUSE: Duration = Duration::from_millis(1);

pub struct Room {
    /// Reports go there.
    launcher: File,
    descriptors: u64,
    files: AtomicU64,
    is_crowded: AtomicBool,
}

impl Room {
    /// `descriptors`: how many the process may have.
    pub fn new(launcher: File, descriptors: u64) -> Self {
        Self { launcher, descriptors, files: AtomicU64::new(0), is_crowded: AtomicBool::new(false) }
    }

    /// To be called before another file is opened.
    pub fn wait(&self) {
        let was_crowded = self.is_crowded.load(Ordering::Relaxed);
        let looks = if was_crowded { OFTEN } else { SELDOM };
        if self.files.fetch_add(1, Ordering::Relaxed).is_multiple_of(looks) {
            self.look();
        }
        if was_crowded {
            sleep(PAUSE);
        }
    }

    /// The lowest free number is about how many are in use.
    fn look(&self) {
        let lowest = self.launcher.try_clone().map_or(self.descriptors, |copy| copy.as_raw_fd() as u64);
        let is_crowded = lowest > self.descriptors / 4 * 3;
        self.is_crowded.store(is_crowded, Ordering::Relaxed);
        if is_crowded {
            // A launcher that does not read has ended.
            let _ = (&self.launcher).write_all(&[CROWDED]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn a_server_with_most_descriptors_in_use_reports_it_and_takes_its_time() {
        let (mut launcher, server) = UnixStream::pair().unwrap();
        launcher.set_nonblocking(true).unwrap();
        let mut reports = |descriptors: u64| {
            let copy = server.try_clone().unwrap();
            let room = Room::new(File::from(OwnedFd::from(copy)), descriptors);
            let start = Instant::now();
            (0..64).for_each(|_| room.wait());
            let mut bytes = [0; 64];
            (launcher.read(&mut bytes).unwrap_or_default(), start.elapsed())
        };
        let (count, _) = reports(1 << 40);
        assert_eq!(count, 0);
        // This test has more than one open.
        let (count, took) = reports(1);
        assert!(count >= 4 && took >= 60 * PAUSE, "{count} {took:?}");
    }
}
