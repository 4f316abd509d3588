//! Output of commands, and their questions: an error instead of a panic if standard output is closed, and the exit status of
//! success.

use crate::error::{Error, Result};
use crate::sys::output;
use anyhow::Context;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// Prints a line to standard output.
pub fn print(text: impl Display) -> Result<ExitCode> {
    output::line(text).context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints rows in columns, below their head.
pub fn print_table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> Result<ExitCode> {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..COLUMNS).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    print(lines.collect::<Vec<_>>().join("\n"))
}

pub fn print_bytes(bytes: &[u8]) -> Result<ExitCode> {
    output::bytes(bytes).context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks before something is lost. `action`: what is done after a yes; `hint`: what to type where nobody can answer.
///
/// # Errors
/// Standard input is not a terminal.
pub fn confirmed(action: &str, hint: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let refusal = format!("refusing to {action} without confirmation: standard input is not a terminal");
        return Err(Error::bad_input(refusal).hint(hint.to_owned()));
    }
    output::question(format_args!("{action}? [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
