//! The progress of an installation: a bar on a terminal, otherwise a few lines.

use super::format_mib;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

const WHAT: &str = "unpacking kernel, root filesystem and QEMU";

/// Called from several threads.
pub trait Progress: Sync {
    /// Once, before the first byte.
    fn plan(&self, total_bytes: u64);
    fn advance(&self, bytes: u64);
    /// Another process has the cache's lock: the VM's name (or the command) and its pid.
    fn waiting(&self, for_whom: &str);
    /// At the end, also if there was only a wait.
    fn done(&self);
}

/// The form for standard error.
pub fn for_stderr() -> Box<dyn Progress> {
    if io::stderr().is_terminal() {
        Box::new(Bar(ProgressBar::no_length()))
    } else {
        Box::new(Lines::new(io::stderr()))
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn show(&self, template: &str, message: String) {
        self.0.set_style(ProgressStyle::with_template(template).expect("a constant that a test has parsed"));
        self.0.set_message(message);
        self.0.enable_steady_tick(Duration::from_millis(100));
    }
}

const BAR: &str = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta}";
const SPINNER: &str = "{spinner} {msg}";

impl Progress for Bar {
    fn plan(&self, total_bytes: u64) {
        self.0.set_length(total_bytes);
        self.0.reset();
        self.show(BAR, WHAT.to_owned());
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn waiting(&self, for_whom: &str) {
        self.show(SPINNER, waiting_text(for_whom));
    }

    fn done(&self) {
        self.0.finish_and_clear();
    }
}

fn waiting_text(for_whom: &str) -> String {
    format!("waiting for {for_whom}, which is changing the cache")
}

/// A line at the start, at each quarter and at the end.
struct Lines<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    total: u64,
    done: u64,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        Self { state: Mutex::new(State { out, total: 0, done: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl<W: Write> State<W> {
    fn quarters(&self) -> u64 {
        (self.done * 4).checked_div(self.total).unwrap_or(0)
    }

    /// A closed standard error is ignored.
    fn print(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn plan(&self, total_bytes: u64) {
        let mut state = self.state();
        state.total = total_bytes;
        state.print(&format!("{WHAT} ({})", format_mib(total_bytes)));
    }

    fn advance(&self, bytes: u64) {
        let mut state = self.state();
        let before = state.quarters();
        state.done += bytes;
        let quarters = state.quarters();
        if (before + 1..4).contains(&quarters) {
            state.print(&format!("unpacked {} %", quarters * 25));
        }
    }

    fn waiting(&self, for_whom: &str) {
        self.state().print(&waiting_text(for_whom));
    }

    fn done(&self) {
        let mut state = self.state();
        if state.total > 0 {
            state.print("unpacked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_are_few_lines() {
        let lines = Lines::new(Vec::new());
        lines.plan(1000 << 20);
        (0..1000).for_each(|_| lines.advance(1 << 20));
        lines.done();
        let text = String::from_utf8(lines.state.into_inner().unwrap().out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        for (line, number) in lines.iter().zip(["1000 MiB", "25 %", "50 %", "75 %"]) {
            assert!(line.contains(number), "{text}");
        }
    }

    #[test]
    fn a_bar_has_all_its_states() {
        let bar = Bar(ProgressBar::hidden());
        bar.waiting("web (pid 7)");
        assert!(bar.0.message().contains("web (pid 7)"), "{}", bar.0.message());
        bar.plan(10);
        bar.advance(4);
        assert_eq!((bar.0.position(), bar.0.length()), (4, Some(10)));
        bar.done();
        assert!(bar.0.is_finished());
    }
}

#[cfg(all(test, unix))]
#[path = "progress_texts.rs"]
mod texts;
