//! A launch, from a plan to the end of its VM: takes the name, installs the parts, supervises QEMU, and
//! goes down a rung when one turns out not to bear.

use crate::checkpoint::{self, Checkpoint};
use crate::config::{Config, Source};
use crate::error::{Error, Kind, Result};
use crate::folders::{self, Folders};
use crate::host::{Accelerator, HostFacts, Os, Rung};
use crate::instance::{
    self, AgentAddress, Files, Home as HomeDisk, Instance, Overlays, Phase, State, TerminalSize,
};
use crate::learnt::Learnt;
use crate::parts::Parts;
use crate::plan::{self, AgentLink, GpuMode, Home, Patience, VmSpec, Window};
use crate::qemu::{self, Agent, CREDENTIALS, Channel, Channels, Paths, RootDisk};
use crate::remote;
use crate::supervise::{
    self, End, Entry, Failure, From, Launch, Limits, Rungs, Signals, Stage, Status, Tails,
};
use crate::vfio;
use anyhow::Context;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is launched, and what is known before.
pub struct Request<'a> {
    pub facts: HostFacts,
    pub config: &'a Config,
    /// The plan made of the two.
    pub spec: VmSpec,
    pub parts: &'a Parts,
    pub folders: &'a Folders,
    pub learnt: Learnt,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session, in a window or for those who come.
    Session,
    /// A session that is to open in this terminal.
    ShellHere,
    /// The VM's checkpoint alone.
    Checkpoint,
}

impl Purpose {
    /// What is decided for a session, as this purpose needs it.
    fn suit(self, mut spec: VmSpec) -> VmSpec {
        if self == Self::Checkpoint {
            // The guest has a screen, and its terminal on it, all the same.
            spec.window.value = Window::None;
            spec.window.because = "nobody looks at a VM that is only saved".to_owned();
        }
        spec
    }
}

/// # Errors
/// The name is taken, the parts can't be unpacked, a forced choice failed, or the VM died.
pub fn launch(request: Request<'_>) -> Result<ExitCode> {
    let Request { mut facts, config, mut spec, parts, folders, learnt, purpose } = request;
    spec = purpose.suit(spec);
    let launched = Instant::now();
    let instance = Instance::take(&spec.name, &folders.vms_path())?;
    let state = State::new(&spec);
    instance.tell(&state);
    let shell = write_ssh_config(&spec, instance.files(), folders)?;
    if let (Home::Kept(size), false) = (spec.home, purpose == Purpose::Checkpoint) {
        HomeDisk::at(folders.home_path(&spec.name)).prepare(size)?;
    }
    let _in_use = parts.install(&spec, folders)?;
    let _overlays = Overlays::make(&folders.overlay_path())?;
    let mut paths = parts.paths(&spec, folders).named(folders::os::narrow)?;
    // From here on a request to stop goes to the guest; until here it just ends the program.
    let signals = Signals::install().context("can't take over Ctrl-C")?;
    let stop = signals.clone();
    instance::allow_stop_requests(move || stop.raise());
    let mut status = Told {
        shown: supervise::for_stderr(),
        instance: &instance,
        launched,
        state,
        shell: (purpose == Purpose::ShellHere).then_some(shell),
        signals: signals.clone(),
        learnt,
        fallen: Vec::new(),
        window: spec.window.value,
        way: Way::Boot,
    };
    let _held = hold_gpu(&spec)?;
    if spec.passthrough.is_some() {
        // What the bound functions offer is only known now.
        facts.pci = vfio::os::probe();
        spec = plan::plan(&facts, config, spec.arch, &spec.name, spec.home)?;
    }
    announce(&spec, parts, &mut status);
    loop {
        let way = Way::new(parts.checkpoint(&spec, folders, &facts.machine), folders);
        way.begin(&paths.rootfs)?;
        paths.root = way.root_disk();
        let mut launch = qemu_launch(&spec, &paths, &instance);
        if let Some(start) = way.start() {
            let entry = (purpose != Purpose::Checkpoint).then(|| entry(&spec, &paths)).transpose()?;
            launch.checkpoint = Some(supervise::Checkpoint { start, entry });
        }
        status.starts(&spec, way);
        let end = supervise::run(&launch, &mut status, &signals)?;
        let saved = status.way.finish();
        match end {
            End::Saved => {
                saved?;
                status
                    .way
                    .checkpoint()
                    .into_iter()
                    .for_each(|checkpoint| status.shown.say(&checkpoint.to_string()));
                return Ok(ExitCode::SUCCESS);
            }
            End::PoweredOff { .. } | End::Stopped { .. } => {
                if let Err(e) = saved {
                    tracing::warn!("the next start is not instant: {e}");
                }
                return Ok(ExitCode::SUCCESS);
            }
            End::Died { reason, tails } => return Err(died(&reason, &tails, instance.files())),
            End::RungFailed { failure, because, .. } => {
                let rung = rung(failure, &spec);
                if failure == Failure::Checkpoint {
                    status.way.checkpoint().into_iter().for_each(Checkpoint::discard);
                }
                facts = facts.without(rung, &because);
                status.fallen.push((rung, because.clone()));
                let lower = purpose.suit(plan::plan(&facts, config, spec.arch, &spec.name, spec.home)?);
                status.say(&format!("{rung} does not work here: {because}; {}", instead(&spec, &lower)));
                spec = lower;
            }
        }
    }
}

/// Binds the physical GPU, if one is passed that is not bound yet; it is given back when the result is dropped.
fn hold_gpu(spec: &VmSpec) -> Result<Option<vfio::os::Held>> {
    let Some(passed) = &spec.passthrough else { return Ok(None) };
    vfio::os::allow_locking(passed.locked);
    let is_bound = passed.handover.devices.is_empty();
    (!is_bound).then(|| vfio::os::hold(&passed.handover)).transpose()
}

/// Shows how the launch goes, and tells it to other commands.
struct Told<'a> {
    shown: Box<dyn Status>,
    instance: &'a Instance,
    launched: Instant,
    state: State,
    /// What runs in this terminal once the session is there, and whose end is the VM's.
    shell: Option<Command>,
    signals: Signals,
    learnt: Learnt,
    /// What did not bear in this launch.
    fallen: Vec<(Rung, String)>,
    window: Window,
    way: Way,
}

impl Told<'_> {
    fn starts(&mut self, spec: &VmSpec, way: Way) {
        self.way = way;
        self.window = spec.window.value;
        self.state.runs_on(spec.accelerator.value, spec.gpu.value);
        self.state.channel = match agent(spec) {
            Agent::Vsock { cid } => Some(AgentAddress::Vsock(cid)),
            Agent::Loopback => None,
        };
        self.instance.tell(&self.state);
    }

    /// The launch came up on the rungs that are left. Where no window came up at all the session was at fault, not
    /// OpenGL or a toolkit; and a context id that is taken says nothing about the next.
    fn learn(&mut self) {
        let worth = |rung: &Rung| match rung {
            Rung::Accelerator(_) => true,
            Rung::Gl | Rung::Window(_) => self.window != Window::None,
            // The one that failed is gone.
            Rung::Vsock | Rung::Checkpoint => false,
        };
        let lessons: Vec<_> = self.fallen.iter().filter(|(rung, _)| worth(rung)).collect();
        if lessons.is_empty() {
            return;
        }
        if let Err(e) = self.learnt.learn(lessons.iter().map(|(rung, because)| (*rung, because.as_str()))) {
            tracing::warn!("the next start will try {} again: {e:#}", lessons[0].0);
        }
    }

    fn open_shell(&mut self) {
        let Some(mut shell) = self.shell.take() else { return };
        let signals = self.signals.clone();
        std::thread::spawn(move || {
            if let Err(e) = shell.status() {
                tracing::error!("can't start {}: {e}", shell.get_program().display());
            }
            signals.raise();
        });
    }
}

impl Status for Told<'_> {
    fn stage(&mut self, stage: Stage, elapsed: Duration) {
        self.shown.stage(stage, elapsed);
        if stage == Stage::Ready {
            // Not `elapsed`, which begins anew with each rung.
            self.state.is_ready_after(self.launched.elapsed());
            self.instance.tell(&self.state);
            self.instance.drop_guest_keys();
            self.learn();
            self.open_shell();
        }
    }

    fn reachable(&mut self, port: u16) {
        self.state.channel = Some(AgentAddress::Port(port));
        self.instance.tell(&self.state);
    }

    fn terminal_size(&mut self, columns: u16, rows: u16) {
        self.state.terminal = Some(TerminalSize { columns, rows });
        self.instance.tell(&self.state);
    }

    fn saved(&mut self) {
        self.way.publish();
        self.learn();
    }

    fn ending(&mut self) {
        self.state.state = Phase::Stopping;
        self.instance.tell(&self.state);
    }

    fn tick(&mut self, elapsed: Duration) {
        self.shown.tick(elapsed);
    }

    fn say(&mut self, sentence: &str) {
        self.shown.say(sentence);
    }

    fn done(&mut self) {
        self.shown.done();
    }
}

/// What a start has to do with a checkpoint.
pub enum Way {
    Boot,
    /// One is made. It lies with the launch's overlay until it is whole.
    Save {
        checkpoint: Checkpoint,
        files: checkpoint::Files,
        published: Option<JoinHandle<Result<()>>>,
    },
    Restore {
        checkpoint: Checkpoint,
        files: checkpoint::Files,
    },
}

impl Way {
    pub fn new(checkpoint: Option<Checkpoint>, folders: &Folders) -> Self {
        let Some(checkpoint) = checkpoint else { return Self::Boot };
        match checkpoint.find() {
            Some(files) => Self::Restore { checkpoint, files },
            None => {
                let files = checkpoint::Files::in_folder(&folders.overlay_path().join("checkpoint"));
                Self::Save { checkpoint, files, published: None }
            }
        }
    }

    fn begin(&self, rootfs: &Path) -> Result<()> {
        if let Self::Save { files, .. } = self { files.begin(rootfs) } else { Ok(()) }
    }

    pub fn root_disk(&self) -> RootDisk {
        match self {
            Self::Boot => RootDisk::Image,
            Self::Save { files, .. } => RootDisk::ToSave(files.disk.clone()),
            Self::Restore { files, .. } => RootDisk::Saved(files.disk.clone()),
        }
    }

    fn start(&self) -> Option<From> {
        match self {
            Self::Boot => None,
            Self::Save { files, .. } => Some(From::Boot {
                memory: files.memory.clone(),
                overlay: files.folder.with_extension("overlay"),
            }),
            Self::Restore { files, .. } => Some(From::Saved { memory: files.memory.clone() }),
        }
    }

    /// Beside the VM, which goes on: it takes as long as the disk does.
    fn publish(&mut self) {
        let Self::Save { checkpoint, files, published } = self else { return };
        let (checkpoint, folder) = (checkpoint.clone(), files.folder.clone());
        *published = Some(std::thread::spawn(move || checkpoint.publish(&folder)));
    }

    /// Waits for what [`Self::publish`] has begun.
    fn finish(&mut self) -> Result<()> {
        let Self::Save { published, .. } = self else { return Ok(()) };
        let published = published.take().map(JoinHandle::join);
        published.map_or(Ok(()), |done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Boot => None,
            Self::Save { checkpoint, .. } | Self::Restore { checkpoint, .. } => Some(checkpoint),
        }
    }
}

/// What makes the VM the one of this name.
fn entry(spec: &VmSpec, paths: &Paths) -> Result<Entry> {
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()));
    let credentials = CREDENTIALS.iter().map(|&name| Ok((name.to_owned(), read(&paths.keys.join(name))?)));
    let home = paths.home.as_ref().map(|path| {
        let bytes = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        Ok::<_, Error>(supervise::HomeDisk { path: path.clone(), bytes })
    });
    Ok(Entry {
        host_name: spec.name.to_string(),
        entropy: instance::entropy(),
        home: home.transpose()?,
        credentials: credentials.collect::<Result<_>>()?,
    })
}

/// Lets OpenSSH reach this VM, and all; gives the command that opens a shell in this one.
fn write_ssh_config(spec: &VmSpec, files: &Files, folders: &Folders) -> Result<Command> {
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let own = files.ssh_config_path();
    if let Some(path) = [&own, &executable].into_iter().find(|path| !remote::config::can_name(path)) {
        let path = path.display();
        return Err(Error::bad_input(format!("OpenSSH takes no path with a line break, such as {path}"))
            .hint("let XDG_STATE_HOME name a folder without one, or move the executable"));
    }
    for (path, text) in [
        (&own, remote::config::of_vm(&spec.name, files, &executable)),
        (&folders.ssh_config_path(), remote::config::of_all(&folders.vms_path())),
    ] {
        folders::replace(path, &text, &own.with_extension("new"))?;
    }
    Ok(remote::ssh(&own, &spec.name, false, true, &[]))
}

/// What a user would otherwise wonder about.
fn announce(spec: &VmSpec, parts: &Parts, status: &mut dyn Status) {
    if spec.window.value == Window::None {
        status.say(&format!("no window: {}", spec.window.because));
    }
    if spec.accelerator.value == Accelerator::Tcg {
        status.say(&format!("using TCG, which is slow: {}", spec.accelerator.because));
    }
    if let Some(passed) = spec.passthrough.as_ref().filter(|passed| passed.pack.value.is_none()) {
        let because = &passed.pack.because;
        status.say(&format!("the VM has no drivers of physical GPUs: {because}; {}", plan::MAKE_PACK));
    }
    if let Some(terminal) = parts.other_terminal() {
        status.say(&format!("this image has {terminal} for a terminal, not Ghostty"));
    }
}

fn rung(failure: Failure, spec: &VmSpec) -> Rung {
    match failure {
        Failure::Accelerator => Rung::Accelerator(spec.accelerator.value),
        Failure::Gl => Rung::Gl,
        Failure::Window => Rung::Window(spec.window.value),
        Failure::Vsock => Rung::Vsock,
        Failure::Checkpoint => Rung::Checkpoint,
    }
}

fn instead(before: &VmSpec, now: &VmSpec) -> String {
    if before.accelerator.value != now.accelerator.value {
        format!("using {}", now.accelerator.value)
    } else if before.window.value != now.window.value {
        format!("the window is {}", now.window.value)
    } else if before.start.value != now.start.value {
        "the VM boots".to_owned()
    } else if before.agent.value != now.agent.value {
        format!("the agent is reached by {}", now.agent.value)
    } else {
        format!("the rendering is {}", now.gpu.value)
    }
}

fn qemu_launch(spec: &VmSpec, paths: &Paths, instance: &Instance) -> Launch {
    let (channels, files) = (channels(spec), instance.files());
    let Patience { life, ready, poweroff } = spec.patience;
    Launch {
        program: paths.qemu.path.clone(),
        args: qemu::argv(spec, paths, &channels),
        environment: qemu::environment(spec, paths, std::env::vars_os()),
        lock: instance.lock(),
        channels,
        console_log: Some(files.console_log_path()),
        qemu_log: Some(files.qemu_log_path()),
        rungs: Rungs {
            accelerator: spec.accelerator.value != Accelerator::Tcg,
            gl: spec.gpu.value == GpuMode::Virgl,
            window: spec.window.value != Window::None,
            checkpoint: matches!(paths.root, RootDisk::Saved(_)),
        },
        checkpoint: None,
        // An image of the user's own may know nothing of us.
        tells_session: spec.rootfs == Source::Embedded,
        limits: Limits { life, ready, poweroff, ..Limits::default() },
    }
}

/// Where the guest's console and control port meet the launcher.
pub fn channels(spec: &VmSpec) -> Channels {
    match spec.os {
        Os::Linux | Os::MacOs => {
            Channels { console: Channel::Descriptor(3), control: Channel::Descriptor(4), agent: agent(spec) }
        }
        Os::Windows => {
            let pipe = |what| Channel::Pipe(format!("virtualghost-{}-{what}", std::process::id()));
            Channels { console: pipe("console"), control: pipe("control"), agent: agent(spec) }
        }
    }
}

/// A context id that no other VM of this machine has: 3 and up are for guests (vsock(7)), and no two live launchers
/// have the same process id.
fn agent(spec: &VmSpec) -> Agent {
    const FIRST_CID: u32 = 1 << 16;
    match spec.agent.value {
        AgentLink::Vsock => Agent::Vsock { cid: FIRST_CID + std::process::id() },
        AgentLink::Loopback => Agent::Loopback,
    }
}

fn died(reason: &str, tails: &Tails, files: &Files) -> Error {
    let mut text = reason.to_owned();
    for (whose, lines) in [("the guest's console", &tails.console), ("QEMU", &tails.qemu)] {
        if !lines.is_empty() {
            let _ = write!(text, "\nlast lines of {whose}:\n  {}", lines.join("\n  "));
        }
    }
    let (console, qemu) = (files.console_log_path(), files.qemu_log_path());
    Error::new(Kind::VmDied, text).hint(format!("all of it: {} and {}", console.display(), qemu.display()))
}

/// QEMU's command line as a shell would take it.
pub fn command_line(spec: &VmSpec, paths: &Paths) -> String {
    let argv = qemu::argv(spec, paths, &channels(spec));
    let words = std::iter::once(paths.qemu.path.as_os_str()).chain(argv.iter().map(|word| word.as_os_str()));
    match spec.os {
        Os::Linux | Os::MacOs => words.map(posix_quoted).collect::<Vec<_>>().join(" "),
        Os::Windows => format!("& {}", words.map(powershell_quoted).collect::<Vec<_>>().join(" ")),
    }
}

fn posix_quoted(word: &OsStr) -> String {
    let quoted = shlex::bytes::try_quote(word.as_encoded_bytes()).expect("no argument holds a NUL");
    String::from_utf8_lossy(&quoted).into_owned()
}

/// Nothing is special between single quotes but the quote, which is written twice (about_Quoting_Rules).
fn powershell_quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/\\".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_powershell_is_quoted_where_it_has_to_be() {
        let quoted = |text: &str| powershell_quoted(OsStr::new(text));
        assert_eq!(quoted(r"C:\a.b\c-d_1"), r"C:\a.b\c-d_1");
        assert_eq!(quoted(r"C:\it's, odd"), r"'C:\it''s, odd'");
        assert_eq!(quoted("a$b"), "'a$b'");
        assert_eq!(quoted(""), "''");
    }
}
