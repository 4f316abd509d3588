//! Displays the progress of a launch: one line that is rewritten on a terminal, a few lines elsewhere. It only displays;
//! nothing else happens in it.

use crate::supervise::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Called from the thread that supervises QEMU.
pub trait Reporter {
    /// The launch has reached `stage`, `elapsed` after its start.
    fn stage(&mut self, stage: Stage, elapsed: Duration);
    /// Time passed.
    fn tick(&mut self, elapsed: Duration);
    /// Prints a sentence for the user.
    fn notice(&mut self, sentence: &str);
    /// The VM has stopped.
    fn done(&mut self);
}

/// The reporter for a terminal, if standard error is one.
pub fn for_stderr() -> Box<dyn Reporter> {
    if io::stderr().is_terminal() {
        let style = ProgressStyle::with_template(TEMPLATE).expect("a constant that a test has parsed");
        Box::new(Line { bar: ProgressBar::new_spinner().with_style(style), stage: Stage::Qemu })
    } else {
        Box::new(Plain(io::stderr()))
    }
}

/// The reporter where the streams are a program's: what is no terminal gets that program's output alone.
pub fn for_a_program() -> Box<dyn Reporter> {
    if io::stderr().is_terminal() { for_stderr() } else { Box::new(Quiet) }
}

const TEMPLATE: &str = "{spinner} {msg}";

fn text(stage: Stage, elapsed: Duration) -> String {
    let what = match stage {
        Stage::Qemu => "starting QEMU",
        Stage::Kernel => "booting the kernel",
        Stage::Services => "starting the services",
        Stage::Ready => "ready",
    };
    format!("{what} ({:.1} s)", elapsed.as_secs_f32())
}

struct Line {
    bar: ProgressBar,
    stage: Stage,
}

impl Reporter for Line {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.stage = stage;
        self.bar.set_message(text(stage, elapsed));
        if stage == Stage::Ready {
            self.bar.finish_and_clear();
            self.notice(&text(stage, elapsed));
        }
    }

    fn tick(&mut self, elapsed: Duration) {
        if self.stage != Stage::Ready {
            self.bar.set_message(text(self.stage, elapsed));
            self.bar.tick();
        }
    }

    fn notice(&mut self, sentence: &str) {
        // Not eprintln, which panics if the terminal was closed: the supervision must go on.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{sentence}")));
    }

    fn done(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Displays nothing. An error is no progress, and is printed elsewhere.
struct Quiet;

impl Reporter for Quiet {
    fn stage(&mut self, _: Stage, _: Duration) {}

    fn tick(&mut self, _: Duration) {}

    fn notice(&mut self, _: &str) {}

    fn done(&mut self) {}
}

struct Plain<W>(W);

impl<W: Write> Reporter for Plain<W> {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.notice(&text(stage, elapsed));
    }

    fn tick(&mut self, _: Duration) {}

    fn notice(&mut self, sentence: &str) {
        let _ = writeln!(self.0, "{sentence}");
    }

    fn done(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_one_line_for_each_stage() {
        let mut written = Vec::new();
        let mut reporter = Plain(&mut written);
        reporter.stage(Stage::Kernel, Duration::from_millis(1230));
        reporter.tick(Duration::from_secs(2));
        reporter.stage(Stage::Ready, Duration::from_secs(12));
        reporter.done();
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<_> = written.lines().collect();
        assert!(
            matches!(lines[..], [kernel, ready] if kernel.contains("1.2 s") && ready.contains("12.0 s")),
            "{written}"
        );
    }

    #[test]
    fn the_template_is_valid() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }
}

#[cfg(all(test, unix))]
#[path = "reporter_texts.rs"]
mod texts;
