//! `virtualghost config`: prints the settings, and creates the configuration file.

use crate::cli::args::ConfigArgs;
use crate::cli::merged_config;
use crate::cli::output::print;
use crate::config::{Layer, template};
use crate::error::{Error, Result};
use crate::sys::{Dirs, files};
use anyhow::Context;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

pub fn run(args: &ConfigArgs) -> Result<ExitCode> {
    let dirs = Dirs::find()?;
    let path = dirs.config_file_path();
    if args.path {
        print(path.display())
    } else if args.init {
        write_new(&path, &template())?;
        print(format_args!("wrote {}", path.display()))
    } else {
        print(merged_config(&dirs, &args.name.clone().unwrap_or_default(), Layer::default())?)
    }
}

/// # Errors
/// `path` exists; it is not overwritten.
fn write_new(path: &Path, text: &str) -> Result<()> {
    // An existing folder may be a link of the user's, or open to other users on purpose.
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        files::create_private(folder)?;
    }
    let cannot = || format!("can't write {}", path.display());
    let mut file = match File::options().write(true).create_new(true).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(Error::bad_input(format!("{} was not written: it already exists", path.display()))
                .hint("edit it, or move it away first"));
        }
        opened => opened.with_context(cannot)?,
    };
    file.write_all(text.as_bytes()).with_context(cannot).inspect_err(|_| {
        // Half a file would not be overwritten next time.
        let _ = std::fs::remove_file(path);
    })?;
    Ok(())
}
