//! What a user sees of a copy: a line that is rewritten, if standard error is a terminal and the copy takes longer than a
//! moment, and a line for each file that is left out.

use crate::sys::output;
use crate::sys::printable::clean;
use crate::tree::Observer;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

const TEMPLATE: &str = "{spinner} {msg}";
/// A copy that is over sooner shows nothing.
const MOMENT: Duration = Duration::from_secs(1);
/// Between two changes of the line.
const STEP: Duration = Duration::from_millis(100);
/// Files that are named; of more only the number is printed. A guest chooses how many there are.
const MAX_LINES: usize = 100;

pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: Instant,
    bytes: u64,
    problems: usize,
}

impl Default for Progress {
    fn default() -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).expect("a constant that a test has parsed");
        let is_terminal = io::stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        let now = Instant::now();
        Self { bar, started: now, shown: now, bytes: 0, problems: 0 }
    }
}

impl Progress {
    /// So many bytes of the whole copy were copied.
    pub fn add(&mut self, bytes: u64) {
        self.show(bytes, String::new);
    }

    /// Prints the number of files that were left out without a line. Whether none was.
    pub fn complete(&self) -> bool {
        self.bar.finish_and_clear();
        if let Some(more @ 1..) = self.problems.checked_sub(MAX_LINES) {
            output::error_line(format_args!("and {more} more"));
        }
        self.problems == 0
    }

    /// Prints something above the line.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn show(&mut self, bytes: u64, what: impl FnOnce() -> String) {
        self.bytes += bytes;
        let now = Instant::now();
        if now - self.started >= MOMENT && now - self.shown >= STEP {
            self.shown = now;
            self.bar.set_message(text(self.bytes, now - self.started, &what()));
            self.bar.tick();
        }
    }
}

fn text(bytes: u64, elapsed: Duration, what: &str) -> String {
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{} copied, {}/s {what}", HumanBytes(bytes), HumanBytes(rate as u64)).trim_end().to_owned()
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn problem(&mut self, path: &Path, because: &dyn Display) {
        self.problems += 1;
        if self.problems <= MAX_LINES {
            let line = format!("{}: {because}", path.display());
            self.bar.suspend(|| output::error_line(clean(line.as_bytes())));
        }
    }

    fn progress(&mut self, path: &Path, bytes: u64) {
        self.show(bytes, || clean(path.as_os_str().as_encoded_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_amount_the_rate_and_the_file() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
        assert_eq!(text(3 << 20, Duration::from_secs(2), "a/b"), "3.00 MiB copied, 1.50 MiB/s a/b");
        assert_eq!(text(0, Duration::ZERO, ""), "0 B copied, 0 B/s");
    }
}
