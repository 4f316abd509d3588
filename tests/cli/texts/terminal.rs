//! A terminal as text for a snapshot: commands, the output of each, and its exit status, without what differs between
//! machines and runs.

use crate::launch::Lab;
use crate::util::{Home, stderr, stdout};
use std::fmt::Write;
use std::process::Output;

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_virtualghost");

/// A recorded terminal. `2>` marks what went to standard error, `?` an exit status that is not 0.
#[derive(Default)]
pub struct Terminal(String);

impl Terminal {
    /// Runs `virtualghost` with these words, split at blanks.
    pub fn run(&mut self, home: &Home, words: &str) -> Output {
        self.run_with(home, &[], words)
    }

    /// The same with environment variables, which are shown.
    pub fn run_with(&mut self, home: &Home, variables: &[(&str, &str)], words: &str) -> Output {
        let output = home.command(&split(words)).envs(variables.iter().copied()).output().unwrap();
        let variables: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        self.show(home, &format!("$ {variables}virtualghost {words}"), &output);
        output
    }

    /// The same where a VM can start.
    pub fn run_in(&mut self, lab: &Lab, words: &str) -> Output {
        let output = lab.run(&split(words));
        self.show(&lab.home, &format!("$ virtualghost {words}"), &output);
        output
    }

    fn show(&mut self, home: &Home, line: &str, output: &Output) {
        let path = home.path().display().to_string();
        let mut add = |mark: &str, text: &str| {
            for line in text.replace(&path, "[HOME]").replace(EXECUTABLE, "[EXECUTABLE]").lines() {
                writeln!(self.0, "{}", format!("{mark}{line}").trim_end()).unwrap();
            }
        };
        add("", line);
        add("", &stdout(output));
        add("2> ", &stderr(output));
        if output.status.code() != Some(0) {
            add("? ", &output.status.code().map_or("killed".to_owned(), |status| status.to_string()));
        }
        self.0.push('\n');
    }

    /// Compares it with the snapshot of this name.
    #[track_caller]
    pub fn assert(self, name: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (pattern, instead) in [
            (r"\bpid \d+", "pid [PID]"),
            (r"\bephemeral-\d+", "ephemeral-[PID]"),
            (r"\.[0-9a-f]{16}\.virtualghost\.invalid", ".[DIGEST].virtualghost.invalid"),
            // It depends on the length of the path.
            (r"ControlPath .*", "ControlPath [SOCKET]"),
            (r"\bready +\d+ ", "ready  [PID]  "),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[DATE]"),
            (r"\b\d+\.\d s\b", "[SECONDS] s"),
            // What a home or a folder takes, which the filesystem decides.
            (r"\b\d MiB\b", "[SIZE] MiB"),
            // Columns are as wide as the longest path or number in them.
            (r"([^>\n]) {3,}", "$1  "),
            // Console and control port are read by two threads: a guest this fast may be ready before its first line.
            (r"2> (booting the kernel|starting the services) .*\n", ""),
            // A machine with little memory or disk.
            (r"2> limited .*\n2> +→ .*\n", ""),
        ] {
            settings.add_filter(pattern, instead);
        }
        settings.bind(|| insta::assert_snapshot!(name, self.0));
    }
}

fn split(words: &str) -> Vec<&str> {
    words.split_whitespace().collect()
}
