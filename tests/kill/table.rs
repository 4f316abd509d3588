//! The table: one row per fault. Each row has a number of runs, a few of them at a time. A row that this machine cannot
//! run is skipped.

use crate::skipped::skipped;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// More than there are cores, because a run mostly waits.
const AT_ONCE: usize = 4;

/// Why this machine cannot do a run.
pub struct Unsupported(pub String);

pub type Run = Result<(), Unsupported>;

pub struct Table {
    only: Vec<String>,
    failed: usize,
    started: Instant,
    pub long: bool,
}

impl Table {
    pub fn new(only: Vec<String>) -> Self {
        let long = std::env::var_os("KILL_LENGTH").is_some_and(|length| length == "long");
        println!("{:<44} {:>4}  outcome", "fault", "runs");
        Self { only, failed: 0, started: Instant::now(), long }
    }

    /// Few runs in the short form, more in the long one.
    pub fn runs(&self, short: usize, long: usize) -> usize {
        if self.long { long } else { short }
    }

    pub fn row(&mut self, name: &str, runs: usize, run: impl Fn(usize) -> Run + Sync) {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        let next = AtomicUsize::new(0);
        let (failures, unsupported) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(runs) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= runs {
                            return;
                        }
                        // The panic has already printed why.
                        match catch_unwind(AssertUnwindSafe(|| run(number))) {
                            Err(_) => drop(failures.fetch_add(1, Ordering::Relaxed)),
                            Ok(Err(Unsupported(why))) => *unsupported.lock().unwrap() = Some(why),
                            Ok(Ok(())) => (),
                        }
                    }
                });
            }
        });
        let outcome = match (failures.into_inner(), unsupported.into_inner().unwrap()) {
            (0, None) => "as promised".to_owned(),
            (0, Some(why)) => {
                skipped(&format!("kill: {name}"), &why);
                "skipped".to_owned()
            }
            (failures, _) => {
                self.failed += 1;
                format!("FAILED {failures} times")
            }
        };
        println!("{name:<44} {runs:>4}  {outcome}");
    }

    /// The exit status.
    pub fn end(self) -> i32 {
        println!("{} rows failed; {:.0} s", self.failed, self.started.elapsed().as_secs_f32());
        i32::from(self.failed > 0)
    }
}
