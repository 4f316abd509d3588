//! One short function per subcommand: the pipeline on one screen.

use crate::assets::clean::{self, Cleaned};
use crate::assets::{self, Blobs, Payload, progress};
use crate::cli::{Cli, Command, ConfigArgs, RunArgs, VmArgs, WarmArgs};
use crate::config::{Config, GpuChoice, Layer, template};
use crate::detach;
use crate::doctor::{self, Patient};
use crate::error::{Error, Kind, Result};
use crate::folders::{self, Folders};
use crate::host::{self, HostFacts, Rung};
use crate::instance;
use crate::launch::{self, Purpose, Way};
use crate::learnt::Learnt;
use crate::parts::{self, Parts};
use crate::plan::{self, Home, VmSpec};
use crate::remote;
use crate::supervise;
use crate::units::VmName;
use anyhow::Context;
use clap::Parser;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

mod gpu;
mod vms;

/// Does what the command line says, and prints the error if there is one. `blobs` is what the executable carries.
pub fn main(blobs: &'static Blobs) -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    gpu::recover(cli.command.as_ref());
    let done = match &cli.command {
        None => run(&cli.run, blobs),
        Some(Command::Run(args)) => run(args, blobs),
        Some(Command::Warm(args)) => warm(args, blobs),
        Some(Command::Config(args)) => config(args),
        Some(Command::Ps { json }) => vms::ps(*json),
        Some(Command::Stop { name, all, force }) => vms::stop(name.as_ref(), *all, *force),
        Some(Command::Logs { name, follow, qemu, .. }) => vms::logs(name, *follow, *qemu),
        Some(Command::Rm { name, yes }) => vms::rm(name, *yes),
        Some(Command::Ssh { name, root, command }) => vms::ssh(name.as_ref(), *root, command),
        Some(Command::Exec { name, root, tty, command }) => vms::exec(name.as_ref(), *root, *tty, command),
        Some(Command::Cp { paths }) => vms::cp(paths),
        Some(Command::SshConfig { name }) => vms::ssh_config(name.as_ref()),
        Some(Command::Proxy { name }) => vms::proxy(name),
        Some(Command::Doctor { json, forget }) => doctor(*json, *forget, blobs),
        Some(Command::Gl) => Ok(doctor::print_gl()),
        Some(Command::Guard { launcher, qemu }) => {
            supervise::guard(*launcher, *qemu).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Gpu(command)) => gpu::run(command),
        Some(Command::Clean { dry_run }) => clean(*dry_run),
    };
    done.unwrap_or_else(|error| {
        // Not eprintln, which panics where nobody reads.
        let _ = writeln!(std::io::stderr(), "{error}");
        error.exit_code()
    })
}

fn run(args: &RunArgs, blobs: &'static Blobs) -> Result<ExitCode> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None if args.ephemeral => instance::ephemeral_name(),
        None => VmName::default(),
    };
    let planned = Planned::new(&args.vm, name, args.ephemeral, blobs)?;
    let Planned { spec, parts, folders, .. } = &planned;
    if args.dry_run {
        return dry_run(spec, parts, folders, &planned.facts);
    }
    folders::os::keep_private();
    if args.detach {
        return detach::detach(&folders.vms_path(), &spec.name, args.name.is_some());
    }
    // Nobody sees a screen, but somebody sits at a terminal: the session is there.
    let shell_here = spec.headless && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if shell_here {
        remote::check_client()?;
    }
    planned.launch(if shell_here { Purpose::ShellHere } else { Purpose::Session })
}

fn warm(args: &WarmArgs, blobs: &'static Blobs) -> Result<ExitCode> {
    let planned = Planned::new(&args.vm, instance::ephemeral_name(), args.ephemeral, blobs)?;
    let Planned { spec, parts, folders, facts, .. } = &planned;
    match Way::new(parts.checkpoint(spec, folders, &facts.machine), folders) {
        Way::Boot => {
            let hint = "choose another: `virtualghost warm --start instant`, and `start = \"instant\"` in the configuration";
            Err(Error::new(Kind::Failed, format!("the next start boots: {}", spec.start.because)).hint(hint))
        }
        Way::Restore { checkpoint, .. } => print(checkpoint),
        Way::Save { .. } => {
            folders::os::keep_private();
            planned.launch(Purpose::Checkpoint)
        }
    }
}

/// A launch, decided.
struct Planned {
    folders: Folders,
    config: Config,
    facts: HostFacts,
    learnt: Learnt,
    spec: VmSpec,
    parts: Parts,
}

impl Planned {
    fn new(args: &VmArgs, name: VmName, ephemeral: bool, blobs: &'static Blobs) -> Result<Self> {
        let folders = Folders::find()?;
        let config = merged_config(&folders, args.layer())?;
        let mut probed = host::probe();
        if config.gpu.value != GpuChoice::None {
            probed = probed.with_pci();
        }
        let embedded = Payload::embedded(blobs)?;
        let learnt = learnt(&folders, &probed, &config, embedded.as_ref());
        let mut facts = learnt.apply(probed);
        if let Some(because) = folders.unfit_for_checkpoints() {
            facts = facts.without(Rung::Checkpoint, &because);
        }
        let home = if ephemeral { Home::ThrownAway } else { Home::Kept(config.home_size.value) };
        let guest = parts::guest_arch(&facts, embedded.as_ref());
        let spec = plan::plan(&facts, &config, guest, &name, home)?;
        let parts = Parts::check(&spec, embedded)?;
        Ok(Self { folders, config, facts, learnt, spec, parts })
    }

    fn launch(self, purpose: Purpose) -> Result<ExitCode> {
        let Self { folders, config, facts, learnt, spec, parts } = self;
        launch::launch(launch::Request {
            facts: facts.clone(),
            config: &config,
            spec,
            parts: &parts,
            folders: &folders,
            learnt,
            purpose,
        })
        .map_err(|error| error.examined(&doctor::after_failure(&config, &parts, &folders, &facts)))
    }
}

/// What failed before with this executable's QEMU.
fn learnt(folders: &Folders, facts: &HostFacts, config: &Config, embedded: Option<&Payload>) -> Learnt {
    let identity = parts::identity(&config.qemu.value, embedded);
    Learnt::load(&folders.learnt_path(), &facts.machine, &identity)
}

/// A configuration that can't be read is a finding, and the rest is examined with the defaults.
fn doctor(json: bool, forget: bool, blobs: &'static Blobs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let config = merged_config(&folders, Layer::default());
    let defaults = Config::merge([]);
    let settings = config.as_ref().unwrap_or(&defaults);
    let facts = host::probe().with_pci();
    let embedded = Payload::embedded(blobs);
    let carried = embedded.as_ref().ok().and_then(Option::as_ref);
    let mut learnt = learnt(&folders, &facts, settings, carried);
    if forget {
        learnt.forget()?;
        return print("nothing is left out at the next start");
    }
    let home = Home::Kept(settings.home_size.value);
    let guest = parts::guest_arch(&facts, carried);
    let planned = embedded.map_err(Error::from).and_then(|embedded| {
        let spec = plan::plan(&learnt.apply(facts.clone()), settings, guest, &VmName::default(), home)?;
        Ok((Parts::check(&spec, embedded)?, spec))
    });
    let report = doctor::examine(&Patient {
        facts: &facts,
        config: &config,
        planned: planned.as_ref().map(|(parts, spec)| (spec, parts)),
        folders: &folders,
        learnt: &learnt,
    });
    if json {
        print(report.json())?
    } else {
        print(&report)?
    };
    Ok(ExitCode::from(report.status()))
}

/// The plan with its reasons, then QEMU's command line as a shell would take it.
fn dry_run(spec: &VmSpec, parts: &Parts, folders: &Folders, facts: &HostFacts) -> Result<ExitCode> {
    let mut paths = parts.paths(spec, folders);
    paths.root = Way::new(parts.checkpoint(spec, folders, &facts.machine), folders).root_disk();
    let command = launch::command_line(spec, &paths);
    print(format_args!("{spec}\n{command}"))
}

fn config(args: &ConfigArgs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let path = folders.config_file_path();
    if args.path {
        print(path.display())
    } else if args.init {
        write_new(&path, &template())?;
        print(format_args!("wrote {}", path.display()))
    } else {
        print(merged_config(&folders, Layer::default())?)
    }
}

fn clean(dry_run: bool) -> Result<ExitCode> {
    let cache = Folders::find()?.cache_path();
    let (done, found) = if dry_run {
        let (kept, removed) = clean::list(&cache)?.into_iter().partition(|entry| !entry.users.is_empty());
        ("would remove", Cleaned { removed, kept })
    } else {
        ("removed", clean::clean(&cache, &*progress::for_stderr())?)
    };
    let mut lines = Vec::new();
    for entry in &found.removed {
        lines.push(format!("{done} {} ({})", entry.path.display(), assets::mib(entry.bytes)));
    }
    for entry in &found.kept {
        let mut users: Vec<_> = entry.users.iter().map(ToString::to_string).collect();
        users.sort();
        lines.push(format!("kept {}: in use by {}", entry.path.display(), users.join(", ")));
    }
    if lines.is_empty() {
        lines.push(format!("nothing to remove in {}", cache.display()));
    }
    print(lines.join("\n"))
}

/// Defaults < file < environment < `flags`.
fn merged_config(folders: &Folders, flags: Layer) -> Result<Config> {
    let file = file_layer(&folders.config_file_path())?;
    let environment = Layer::environment(|name| std::env::var_os(name))?;
    Ok(Config::merge([flags, environment, file]))
}

/// A file that is not there says nothing.
fn file_layer(path: &Path) -> Result<Layer> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Layer::file(&text, path)?),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Layer::default()),
        Err(e) => Err(anyhow::Error::new(e).context(format!("can't read {}", path.display())).into()),
    }
}

/// # Errors
/// There is something at `path` already: it stays as it is.
fn write_new(path: &Path, text: &str) -> Result<()> {
    // One that is there may be a link of the user's, and open to others.
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        folders::create_private(folder)?;
    }
    let cannot = || format!("can't write {}", path.display());
    let mut file = match File::options().write(true).create_new(true).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(Error::bad_input(format!("{} exists already and stays as it is", path.display()))
                .hint("edit it, or move it away first"));
        }
        opened => opened.with_context(cannot)?,
    };
    file.write_all(text.as_bytes()).with_context(cannot).inspect_err(|_| {
        // Half of it would stay as it is next time.
        let _ = std::fs::remove_file(path);
    })?;
    Ok(())
}

/// To standard output, as a line.
fn print(text: impl Display) -> Result<ExitCode> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// A reader that has seen enough (`| head -1`) is no error.
fn print_bytes(bytes: &[u8]) -> Result<ExitCode> {
    let mut output = std::io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(e).context("can't write to standard output").into())
        }
        _ => Ok(ExitCode::SUCCESS),
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
        // They would be told on the same stream, by a macro that panics where nobody reads.
        .log_internal_errors(false)
        .init();
}
