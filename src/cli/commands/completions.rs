//! `virtualghost completions`: prints the completion script of a shell.

use crate::cli::complete::Shell;
use crate::cli::output::print_bytes;
use crate::error::Result;
use anyhow::Context;
use std::process::ExitCode;

pub fn run(shell: Shell) -> Result<ExitCode> {
    print_bytes(&shell.script().context("can't write the script")?)
}
