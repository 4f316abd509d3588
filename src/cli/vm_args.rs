//! The flags of a VM: those of `run`, `checkpoint`, and the program without a command.

use super::complete::{all_vms, running_vms, words};
use crate::config::{
    AccelChoice, DisplayChoice, GlChoice, GpuChoice, HostnameChoice, JailChoice, KeepChoice, KeyboardChoice,
    Layer, NetChoice, PortsChoice, Setting, StartChoice,
};
use crate::error::Result;
use crate::model::units::{MemorySize, Vcpus, VmName, WindowSize};
use crate::model::{Initrd, Input, Inputs, Publish, Published, Rule, Rules, Share, Source, Terminal};
use crate::remote::exec::{self, Program};
use crate::remote::shown::Output;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

const VM: &str = "VM";
const DISPLAY: &str = "Display";
const FILES: &str = "Files";
const FOLDERS: &str = "Folders";
const GPU: &str = "GPU";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output";
const PROGRAM: &str = "Program";

/// The flags that `run` and `checkpoint` have in common.
#[derive(Debug, Args)]
pub struct VmArgs {
    /// Number of virtual CPUs [default: 2]
    #[arg(long, value_name = "N", help_heading = VM)]
    pub vcpus: Option<Vcpus>,

    /// Memory in MiB [default: 2048]
    #[arg(long, value_name = "MIB", help_heading = VM)]
    pub memory: Option<MemorySize>,

    /// Accelerator: auto, kvm, hvf, whpx, tcg; auto falls back, the others fail [default: auto]
    #[arg(long, help_heading = VM, add = words(AccelChoice::WORDS))]
    pub accel: Option<AccelChoice>,

    /// How to start: auto, instant (resume a checkpoint), boot [default: auto]
    #[arg(long, help_heading = VM, add = words(StartChoice::WORDS))]
    pub start: Option<StartChoice>,

    /// Host name of the guest [default: the name of the VM]
    #[arg(long, value_name = "NAME", help_heading = VM)]
    pub hostname: Option<HostnameChoice>,

    /// Files and devices of the host that QEMU can open: auto, strict, gpu-wide, off [default: auto]
    #[arg(long, help_heading = VM, add = words(JailChoice::WORDS))]
    pub jail: Option<JailChoice>,

    /// What of the network the VM reaches: public (the internet, not this machine and its local network), open (also the local
    /// network), off [default: public]
    #[arg(long, help_heading = NETWORK, add = words(NetChoice::WORDS))]
    pub net: Option<NetChoice>,

    /// Open this much more: a name, *.NAME, an address, a network, or host:PORT for a port of this machine; each may end with
    /// :PORT (may be repeated)
    #[arg(long, value_name = "RULE", help_heading = NETWORK)]
    pub allow: Vec<Rule>,

    /// Ports of the VM on 127.0.0.1 of this machine: auto (each that a program listens on), ask, off [default: auto]
    #[arg(long, help_heading = NETWORK, add = words(PortsChoice::WORDS))]
    pub ports: Option<PortsChoice>,

    /// Lead this port of 127.0.0.1 into the VM, for UDP with /udp behind it (may be repeated)
    #[arg(short, long, value_name = "HOST:GUEST", help_heading = NETWORK)]
    pub publish: Vec<Publish>,

    /// Window: auto, gtk, sdl, cocoa, none [default: auto]
    #[arg(long, help_heading = DISPLAY, add = words(DisplayChoice::WORDS))]
    pub display: Option<DisplayChoice>,

    /// OpenGL of the host in the guest (virgl): auto, on, off [default: auto]
    #[arg(long, help_heading = DISPLAY, add = words(GlChoice::WORDS))]
    pub gl: Option<GlChoice>,

    /// Terminal: auto, ghostty, foot, or the command of another one in the image [default: auto]
    #[arg(long, value_name = "COMMAND", help_heading = DISPLAY)]
    pub terminal: Option<Terminal>,

    /// Initial size of the window in pixels [default: 1280x800]
    #[arg(long, value_name = "WxH", help_heading = DISPLAY)]
    pub size: Option<WindowSize>,

    /// Start in full screen
    #[arg(long, help_heading = DISPLAY)]
    pub fullscreen: bool,

    /// Keyboard layout, such as de or de(nodeadkeys) [default: the host's]
    #[arg(long, value_name = "LAYOUT", help_heading = DISPLAY)]
    pub keyboard: Option<KeyboardChoice>,

    /// Kernel to boot (vmlinux, bzImage or Image, also compressed) [default: the embedded one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = FILES)]
    pub kernel: Option<OsString>,

    /// Initrd of that kernel, if its drivers are modules
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = FILES)]
    pub initrd: Option<OsString>,

    /// Root filesystem to boot (ext4, raw or qcow2; it is not written to) [default: the embedded one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = FILES)]
    pub rootfs: Option<OsString>,

    /// Pass a physical GPU to the VM (VFIO, Linux); without an address, the only eligible one
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "auto", help_heading = GPU)]
    pub gpu: Option<GpuChoice>,

    /// With --gpu, pass a keyboard or mouse of the host: a file in /dev/input/by-id, usb:VENDOR:PRODUCT or usb:BUS-PORT (may
    /// be repeated)
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::FilePath, help_heading = GPU)]
    pub input: Vec<Input>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of the VM; each name has its own home, which is kept [default: default]
    #[arg(long, help_heading = VM, add = all_vms())]
    pub name: Option<VmName>,

    /// What to keep for the next start: home, system (also what was installed), nothing, or auto (system if this VM has kept
    /// one before, else home) [default: auto]
    #[arg(long, value_name = "WHAT", help_heading = VM, add = words(KeepChoice::WORDS))]
    pub keep: Option<KeepChoice>,

    /// Discard everything on exit, including /home
    #[arg(long, conflicts_with = "keep", help_heading = VM)]
    pub ephemeral: bool,

    /// Do not read the start files of the home (~/.bashrc, the terminal's configuration), if the session ends at once
    #[arg(long, help_heading = VM)]
    pub safe: bool,

    /// Return when the session is ready; the VM runs until it is stopped
    #[arg(long, help_heading = VM)]
    pub detach: bool,

    /// Open the terminal in this folder of this machine, which the VM can change
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,

    /// Share a folder of this machine: DIR, DIR:ro (the VM can't change it), DIR:copy (the VM works on a copy), and with =PATH at
    /// another path in the VM (may be repeated)
    #[arg(long, value_name = "DIR[:ro|:copy][=PATH]", value_hint = ValueHint::DirPath, value_parser = share(), help_heading = FOLDERS)]
    pub share: Vec<Share>,

    /// Share folders that a VM should not have: the home folder, one with keys, or virtualghost's own
    #[arg(long, help_heading = FOLDERS)]
    pub share_anyway: bool,

    /// Give the VM the name and the address for commits that git has here
    #[arg(long, help_heading = FOLDERS)]
    pub git_identity: bool,

    #[command(flatten)]
    pub vm: VmArgs,

    /// Print the plan with its reasons, and QEMU's command line, without starting anything; with -v also what QEMU can open
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
}

/// Those of the command `run`: of a VM that may be for one program.
#[derive(Debug, Args)]
pub struct RunCommand {
    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub program: ProgramArgs,

    /// Program to run in the VM, with its arguments: the VM has no window unless --display asks for one, stops when the
    /// program ends, and the exit status is the program's
    #[arg(last = true, value_name = "CMD", conflicts_with = "detach")]
    pub command: Vec<OsString>,
}

/// How a program runs in a VM.
#[derive(Debug, Default, Args)]
pub struct ProgramArgs {
    /// Set an environment variable of the program; without a value, to the one that it has here (may be repeated)
    #[arg(short, long, value_name = "NAME[=VALUE]", help_heading = PROGRAM)]
    pub env: Vec<OsString>,

    /// Run the program in this folder of the VM [default: the user's home]
    #[arg(short, long, value_name = "DIR", help_heading = PROGRAM)]
    pub workdir: Option<OsString>,

    /// Pass standard input to the program (the default)
    #[arg(short, long, help_heading = PROGRAM)]
    pub interactive: bool,

    /// Pass no standard input to the program
    #[arg(short, long, conflicts_with = "interactive", help_heading = PROGRAM)]
    pub no_stdin: bool,

    /// Allocate a terminal for the program
    #[arg(short, long, help_heading = PROGRAM)]
    pub tty: bool,

    /// Let the program set this terminal's clipboard and title, and ask it questions
    #[arg(long, help_heading = PROGRAM)]
    pub raw: bool,
}

/// Those of the command `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Name of the VM [default: default, or the only running VM]
    #[arg(add = running_vms())]
    pub name: Option<VmName>,
    /// Run as root
    #[arg(long)]
    pub root: bool,
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

impl ProgramArgs {
    /// # Errors
    /// A variable has no name.
    pub fn program(&self, words: &[OsString]) -> Result<Program> {
        let variables = self.env.iter().map(|text| exec::variable(text)).collect::<Result<Vec<_>>>()?;
        Ok(Program {
            words: words.to_vec(),
            environment: variables.into_iter().flatten().collect(),
            folder: self.workdir.clone(),
            has_terminal: self.tty,
            has_input: !self.no_stdin,
            output: if self.raw { Output::Raw } else { Output::Filtered },
        })
    }
}

#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// For VMs that start with --ephemeral
    #[arg(long, help_heading = VM)]
    pub ephemeral: bool,

    #[command(flatten)]
    pub vm: VmArgs,
}

fn share() -> impl TypedValueParser<Value = Share> {
    OsStringValueParser::new().try_map(|text| Share::parse(&text))
}

impl VmArgs {
    /// What the flags set, as the topmost layer of the configuration.
    pub fn layer(&self) -> Layer {
        fn set_by<T: Clone>(name: &str, value: &Option<T>) -> Option<Setting<T>> {
            value.clone().map(|value| Setting::flag(name, value))
        }
        let file = |name, path: &Option<OsString>| set_by(name, &path.clone().map(Source::from));
        Layer {
            vcpus: set_by("vcpus", &self.vcpus),
            memory: set_by("memory", &self.memory),
            accel: set_by("accel", &self.accel),
            gpu: set_by("gpu", &self.gpu),
            input: (!self.input.is_empty()).then(|| Setting::flag("input", Inputs(self.input.clone()))),
            display: set_by("display", &self.display),
            gl: set_by("gl", &self.gl),
            start: set_by("start", &self.start),
            terminal: set_by("terminal", &self.terminal),
            size: set_by("size", &self.size),
            fullscreen: self.fullscreen.then(|| Setting::flag("fullscreen", true)),
            keyboard: set_by("keyboard", &self.keyboard),
            jail: set_by("jail", &self.jail),
            net: set_by("net", &self.net),
            ports: set_by("ports", &self.ports),
            publish: (!self.publish.is_empty())
                .then(|| Setting::flag("publish", Published(self.publish.clone()))),
            allow: (!self.allow.is_empty()).then(|| Setting::flag("allow", Rules(self.allow.clone()))),
            hostname: set_by("hostname", &self.hostname),
            kernel: file("kernel", &self.kernel),
            initrd: set_by("initrd", &self.initrd.clone().map(Initrd::from)),
            rootfs: file("rootfs", &self.rootfs),
            ..Layer::default()
        }
    }
}
