//! One short function per subcommand: the pipeline on one screen.

use std::process::ExitCode;

pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
