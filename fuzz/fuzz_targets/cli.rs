//! Any arguments, one per line: parsed, or refused with a message.
#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use virtualghost::cli::args::Cli;

fuzz_target!(|text: &str| {
    match Cli::try_parse_from(std::iter::once("virtualghost").chain(text.lines())) {
        Ok(cli) => drop(cli.run.vm.layer()),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
});
