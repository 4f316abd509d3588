//! How a launch tells how far it is: one line that is rewritten on a terminal, a few lines elsewhere.

use super::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Told from the thread that supervises.
pub trait Status {
    /// The launch has come to `stage`, `elapsed` after its start.
    fn stage(&mut self, stage: Stage, elapsed: Duration);
    /// The guest's agent is behind this port of the loopback interface, once it listens.
    fn reachable(&mut self, _port: u16) {}
    /// The guest's terminal has this many character cells.
    fn terminal_size(&mut self, _columns: u16, _rows: u16) {}
    /// Its checkpoint has been written.
    fn saved(&mut self) {}
    /// The VM is being ended.
    fn ending(&mut self) {}
    /// Time went by.
    fn tick(&mut self, elapsed: Duration);
    /// A sentence for the user, now.
    fn say(&mut self, sentence: &str);
    /// The VM has ended.
    fn done(&mut self);
}

/// What suits standard error.
pub fn for_stderr() -> Box<dyn Status> {
    if io::stderr().is_terminal() {
        let style = ProgressStyle::with_template(TEMPLATE).expect("a constant that a test has parsed");
        Box::new(Line { bar: ProgressBar::new_spinner().with_style(style), stage: Stage::Qemu })
    } else {
        Box::new(Plain(io::stderr()))
    }
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

impl Status for Line {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.stage = stage;
        self.bar.set_message(text(stage, elapsed));
        if stage == Stage::Ready {
            self.bar.finish_and_clear();
            self.say(&text(stage, elapsed));
        }
    }

    fn tick(&mut self, elapsed: Duration) {
        if self.stage != Stage::Ready {
            self.bar.set_message(text(self.stage, elapsed));
            self.bar.tick();
        }
    }

    fn say(&mut self, sentence: &str) {
        // A terminal that was closed must not end the supervision: no println, which panics.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{sentence}")));
    }

    fn done(&mut self) {
        self.bar.finish_and_clear();
    }
}

struct Plain<W>(W);

impl<W: Write> Status for Plain<W> {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.say(&text(stage, elapsed));
    }

    fn tick(&mut self, _: Duration) {}

    fn say(&mut self, sentence: &str) {
        let _ = writeln!(self.0, "{sentence}");
    }

    fn done(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_a_line_for_each_stage_and_none_for_the_time() {
        let mut written = Vec::new();
        let mut status = Plain(&mut written);
        status.stage(Stage::Kernel, Duration::from_millis(1230));
        status.tick(Duration::from_secs(2));
        status.stage(Stage::Ready, Duration::from_secs(12));
        status.done();
        assert_eq!(String::from_utf8(written).unwrap(), "booting the kernel (1.2 s)\nready (12.0 s)\n");
    }

    #[test]
    fn the_template_is_valid() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }
}
