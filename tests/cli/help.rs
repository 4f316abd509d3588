//! The help pages, each compared with a file (tests/cli/help). `TRYCMD=overwrite cargo test --test cli help` updates them.

use clap::{Command, CommandFactory};
use std::path::Path;
use virtualghost::cli::args::Cli;

const FOLDER: &str = "tests/cli/help";

/// Formatted for a terminal of 100 columns, wherever the tests run.
#[test]
fn each_help_page_is_as_in_its_file() {
    trycmd::TestCases::new()
        .register_bin("virtualghost", Path::new(env!("CARGO_BIN_EXE_virtualghost")))
        .env("COLUMNS", "100")
        .case(format!("{FOLDER}/*.trycmd"));
}

#[test]
fn each_command_has_a_file_with_its_help_pages() {
    let mut expected = file_names(&Cli::command(), "");
    expected.push("virtualghost.trycmd".to_owned());
    expected.sort();
    let mut found: Vec<_> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

fn file_names(command: &Command, prefix: &str) -> Vec<String> {
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    commands
        .flat_map(|command| {
            let name = format!("{prefix}{}", command.get_name());
            let below = file_names(command, &format!("{name}-"));
            std::iter::once(format!("{name}.trycmd")).chain(below).collect::<Vec<_>>()
        })
        .collect()
}
