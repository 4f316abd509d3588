//! The folder of `virtualghost DIR`: a word that is none may have been meant as a command.

use super::args::Cli;
use crate::error::{Error, Result};
use clap::CommandFactory;
use std::path::Path;

/// As close as this, a word is another one with a typing error: clap's measure.
const CLOSE: f64 = 0.7;

/// # Errors
/// A single word is no folder here.
pub fn check(folder: &Path) -> Result<()> {
    match folder.to_str() {
        Some(word) if folder.components().count() == 1 && folder.is_relative() && !folder.exists() => {
            Err(no_folder(word))
        }
        _ => Ok(()),
    }
}

fn no_folder(word: &str) -> Error {
    let commands = Cli::command();
    let names: Vec<_> = commands.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    if names.iter().any(|command| command.get_name() == word) {
        return Error::bad_input(format!(
            "the flags before {word} are those of `run`, and no folder {word} is here"
        ))
        .hint(format!("begin with the command: virtualghost {word} --help"));
    }
    let close = names.iter().map(|command| (strsim::jaro(word, command.get_name()), command.get_name()));
    let closest =
        close.filter(|(likeness, _)| *likeness > CLOSE).max_by(|one, other| one.0.total_cmp(&other.0));
    let what = Error::bad_input(format!("{word} is neither a command nor a folder here"));
    match closest {
        Some((_, name)) => {
            what.hint(format!("a similar command is: virtualghost {name}; to make the folder: mkdir {word}"))
        }
        None => what.hint(format!("for the commands: virtualghost --help; to make the folder: mkdir {word}")),
    }
}
