//! The table: a row per fault, its runs a few at a time, a failed one with its reason. A run that can't be made on this
//! machine says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// More at a time than there are cores, since most of a run is waiting; not so many that each takes long.
const AT_ONCE: usize = 4;

/// What this machine lacks for a run.
pub struct NotHere(pub String);

pub type Run = Result<(), NotHere>;

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
        let (failures, lacking) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(runs) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= runs {
                            return;
                        }
                        // What went wrong is printed as it happens.
                        match catch_unwind(AssertUnwindSafe(|| run(number))) {
                            Err(_) => drop(failures.fetch_add(1, Ordering::Relaxed)),
                            Ok(Err(NotHere(why))) => *lacking.lock().unwrap() = Some(why),
                            Ok(Ok(())) => (),
                        }
                    }
                });
            }
        });
        let outcome = match (failures.into_inner(), lacking.into_inner().unwrap()) {
            (0, None) => "as promised".to_owned(),
            (0, Some(why)) => format!("not run: {why}"),
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
