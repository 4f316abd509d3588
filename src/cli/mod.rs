//! The command line: arguments, one file per command, and output.

pub mod args;
mod commands;
pub mod complete;
mod examples;
mod folder;
mod output;
mod pager;
mod vm_args;

use crate::config::{Config, Layer};
use crate::error::Result;
use crate::model::units::VmName;
use crate::payload::Blobs;
use crate::remote::shown::Output;
use crate::sys::{Dirs, output::error_line, process};
use args::{Cli, Command, ProgramArgs};
use clap::Parser;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command of the command line, and prints its error, if any. `blobs`: what the executable carries.
pub fn main(blobs: &'static Blobs) -> ExitCode {
    complete::complete();
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    commands::gpu::recover(cli.command.as_ref());
    run(&cli, blobs).unwrap_or_else(|error| {
        error_line(&error);
        error.exit_code()
    })
}

fn run(cli: &Cli, blobs: &'static Blobs) -> Result<ExitCode> {
    let verbose = cli.verbose > 0;
    let Some(command) = &cli.command else {
        return commands::run::run(&cli.run, &ProgramArgs::default(), &[], verbose, blobs);
    };
    match command {
        Command::Run(args) => commands::run::run(&args.run, &args.program, &args.command, verbose, blobs),
        Command::Ssh { name, root, tty, raw, command } => {
            let output = if *raw { Output::Raw } else { Output::Filtered };
            commands::ssh::run(name.as_ref(), *root, *tty, output, command)
        }
        Command::Exec(args) => commands::exec::run(args),
        Command::Cp { paths } => commands::cp::run(paths),
        Command::Ps { json } => commands::ps::run(*json),
        Command::Ls { json } => commands::ls::run(*json),
        Command::Stop { name, all, force } => commands::stop::run(name.as_ref(), *all, *force),
        Command::Net(args) => commands::net::run(args),
        Command::Ports { name, json, open } => commands::ports::run(name.as_ref(), *json, open),
        Command::Resume { name } => commands::resume::run(name.as_ref()),
        Command::Logs { name, follow, qemu, network, raw, .. } => {
            commands::logs::run(name, *follow, commands::logs::Which::of(*qemu, *network), *raw)
        }
        Command::Diff { name, name_status } => commands::diff::run(name.as_ref(), *name_status),
        Command::Apply { name, discard, yes } => commands::apply::run(name.as_ref(), *discard, *yes),
        Command::Clone { name, new } => commands::clone::run(name, new),
        Command::Snapshot { name, tag } => commands::snapshot::make(name, tag.as_ref()),
        Command::Restore { name, tag, yes } => commands::snapshot::restore(name, tag, *yes),
        Command::Rename { name, new } => commands::rename::run(name, new),
        Command::Rm { name, snapshot, yes } => commands::rm::run(name, snapshot.as_ref(), *yes),
        Command::Checkpoint(args) => commands::checkpoint::run(args, blobs),
        Command::Config(args) => commands::config::run(args),
        Command::Doctor { boundary: true, .. } => commands::doctor::boundary(),
        Command::Doctor { json, forget, .. } => commands::doctor::run(*json, *forget, blobs),
        Command::SshConfig { install: Some(file), .. } => commands::ssh_config::install(file.as_deref()),
        Command::SshConfig { name, install: None } => commands::ssh_config::run(name.as_ref()),
        Command::Gpu(command) => commands::gpu::run(command),
        Command::Clean { dry_run } => commands::clean::run(*dry_run),
        Command::Completions { shell } => commands::completions::run(*shell),
        Command::Proxy { name, vms } => commands::proxy::run(name, vms.as_deref()),
        Command::Gl => Ok(crate::doctor::print_gl()),
        Command::NetPeer { agent } => crate::net::role(*agent).map(|()| ExitCode::SUCCESS),
        Command::ShareServer { read_only } => crate::share::role(*read_only).map(|()| ExitCode::SUCCESS),
        Command::Guard { launcher, qemu } => process::guard(*launcher, *qemu).map(|()| ExitCode::SUCCESS),
    }
}

/// Defaults < file < file's table of `vm` < environment < `flags`.
fn merged_config(dirs: &Dirs, vm: &VmName, flags: Layer) -> Result<Config> {
    let file = file_layer(&dirs.config_file_path(), vm)?;
    let environment = Layer::environment(|name| std::env::var_os(name))?;
    Ok(Config::merge([flags, environment, file]))
}

/// A missing file sets nothing.
fn file_layer(path: &Path, vm: &VmName) -> Result<Layer> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Layer::file(&text, path, vm)?),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Layer::default()),
        Err(e) => Err(anyhow::Error::new(e).context(format!("can't read {}", path.display())).into()),
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        // They would be printed to the same stream, with a macro that panics if the stream is closed.
        .log_internal_errors(false)
        .init();
}
