//! Output that may be long: through the user's pager and in colours if standard output is a terminal, else as it is.

use crate::error::Result;
use crate::sys::output;
use crate::sys::printable::clean;
use anyhow::Context;
use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, ExitCode, Stdio};

/// Those that git reads, in its order.
const VARIABLES: [&str; 2] = ["GIT_PAGER", "PAGER"];

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[m";

pub struct Pager {
    child: Option<Child>,
    is_coloured: bool,
}

impl Pager {
    /// Without a terminal, or a pager that starts, there is none.
    pub fn start() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let set =
            VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|pager| !pager.is_empty()));
        let pager = set.unwrap_or_else(|| "less".to_owned());
        let child = (is_terminal && pager != "cat").then(|| {
            let mut command = Command::new("sh");
            command.args(["-c", &pager]).stdin(Stdio::piped());
            // As git sets it: in colours, and not for a text that fits the screen.
            if std::env::var_os("LESS").is_none() {
                command.env("LESS", "FRX");
            }
            command.spawn().ok()
        });
        Self { child: child.flatten(), is_coloured: is_terminal }
    }

    /// Writes the lines above a difference. None if nobody reads it any more.
    pub fn heads(&mut self, lines: &[String]) -> Option<()> {
        lines.iter().try_for_each(|line| self.line(BOLD, line))
    }

    /// Writes a unified diff. None if nobody reads it any more.
    pub fn diff(&mut self, text: &str) -> Option<()> {
        text.lines().enumerate().try_for_each(|(number, line)| {
            let colour = match line.as_bytes().first() {
                Some(b'-' | b'+') if number < 2 => BOLD,
                Some(b'-') => RED,
                Some(b'+') => GREEN,
                Some(b'@') => CYAN,
                _ => "",
            };
            self.line(colour, line)
        })
    }

    /// A file of the VM's may hold escape sequences: none of them reaches a terminal.
    fn line(&mut self, colour: &str, line: &str) -> Option<()> {
        let text = if self.is_coloured {
            let plain = if colour.is_empty() { "" } else { PLAIN };
            format!("{colour}{}{plain}\n", clean(line.as_bytes()))
        } else {
            format!("{line}\n")
        };
        match self.child.as_mut().and_then(|pager| pager.stdin.as_mut()) {
            Some(pager) => pager.write_all(text.as_bytes()).ok(),
            None => output::bytes(text.as_bytes()).ok(),
        }
    }

    /// Waits until the user has left it.
    ///
    /// # Errors
    /// It can't be waited for.
    pub fn finish(mut self) -> Result<ExitCode> {
        if let Some(mut pager) = self.child.take() {
            drop(pager.stdin.take());
            pager.wait().context("can't wait for the pager")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
