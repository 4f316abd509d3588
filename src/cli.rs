//! The command line's syntax, and nothing else: no file, no environment, no host.

use crate::config::{
    AccelChoice, DisplayChoice, GlChoice, GpuChoice, Input, Inputs, KeyboardChoice, Layer, Setting, Source,
    StartChoice,
};
use crate::units::{MiB, PciAddress, Vcpus, VmName, WindowSize};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// A Ghostty terminal in its own virtual machine.
///
/// Without a command: `run`.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Say more on standard error (-vv: everything)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open a terminal in a new VM (the default command)
    Run(Box<RunArgs>),
    /// Show the configuration, or start a file of your own
    Config(ConfigArgs),
    /// Make what an instant start begins with, without opening a terminal
    Warm(Box<WarmArgs>),
    /// List the VMs that run
    Ps {
        /// As JSON, with all that is known
        #[arg(long)]
        json: bool,
    },
    /// Power a VM off and wait until it is gone
    Stop {
        /// Which VM [default: default, or the only one that runs]
        name: Option<VmName>,
        /// Every VM that runs
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// Pull the plug instead of asking the guest
        #[arg(long)]
        force: bool,
    },
    /// Show what a VM said since its start; of one that has ended, too
    Logs {
        /// Which VM
        #[arg(default_value = "default")]
        name: VmName,
        /// Go on until the VM has ended
        #[arg(short, long)]
        follow: bool,
        /// The guest's console (what is shown without a flag)
        #[arg(long, conflicts_with = "qemu")]
        console: bool,
        /// QEMU's messages
        #[arg(long)]
        qemu: bool,
    },
    /// Delete a VM with its home, after asking
    Rm {
        name: VmName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Open a shell in a VM, or run a line of its shell, with OpenSSH
    Ssh {
        /// Which VM [default: default, or the only one that runs]
        name: Option<VmName>,
        /// As root
        #[arg(long)]
        root: bool,
        /// A line for the guest's shell, as ssh takes it
        #[arg(last = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Run a program in a VM: its words as they are, its status, its input and output byte by byte
    Exec {
        /// Which VM [default: default, or the only one that runs]
        name: Option<VmName>,
        /// As root
        #[arg(long)]
        root: bool,
        /// With a terminal of its own
        #[arg(short, long)]
        tty: bool,
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Copy files and folders from or to a VM: NAME:PATH names one in a VM
    Cp {
        /// What to copy, then where to
        #[arg(required = true, num_args = 2.., value_names = ["SRC", "DST"])]
        paths: Vec<OsString>,
    },
    /// Print a configuration for OpenSSH, with which `ssh vg-NAME`, scp, rsync and others reach a VM
    SshConfig {
        /// Only this VM, not all that run
        name: Option<VmName>,
    },
    /// Connect standard input and output with a VM's SSH server (for OpenSSH's ProxyCommand)
    #[command(hide = true)]
    Proxy { name: VmName },
    /// Examine what a launch would meet on this machine, and say what to type
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Forget what failed at earlier starts, so that it is tried again
        #[arg(long, conflicts_with = "json")]
        forget: bool,
    },
    /// Print OpenGL's renderer and version (for doctor, which starts this)
    #[command(hide = true)]
    Gl,
    /// Kill a process, QEMU, when another one, its launcher, ends (for a launch on macOS, which starts this)
    #[command(hide = true)]
    Guard { launcher: i32, qemu: i32 },
    /// See, hand over and take back physical GPUs (VFIO, Linux)
    #[command(subcommand)]
    Gpu(GpuCommand),
    /// Remove the extracted kernel, root filesystem and QEMU from the cache (never a home)
    Clean {
        /// Only list what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum GpuCommand {
    /// List the GPUs: driver, IOMMU group, whether one can be handed to a VM, and if not, why and what to do
    List {
        /// As JSON, with all that is known
        #[arg(long)]
        json: bool,
    },
    /// Bind a GPU and all that goes with it to vfio-pci, as root, so that launches need no root
    Bind {
        address: PciAddress,
        /// Even if it drives the host's display, or its group is shared with other devices
        #[arg(long)]
        force: bool,
    },
    /// Give GPUs back to their drivers, as root: those bound by hand, and those of launches that were killed
    Release { address: Option<PciAddress> },
    /// Bind a GPU until standard input ends
    #[command(hide = true)]
    Keep { address: PciAddress },
    /// Write a value to a file
    #[command(hide = true)]
    Write { path: PathBuf, value: String },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ConfigArgs {
    /// Print every setting with its value and where that was said
    #[arg(long)]
    pub show: bool,
    /// Print where the configuration file is looked for
    #[arg(long)]
    pub path: bool,
    /// Write a commented configuration file (never over an existing one)
    #[arg(long)]
    pub init: bool,
}

/// What every VM has.
#[derive(Debug, Args)]
pub struct VmArgs {
    /// Virtual CPUs [default: 2]
    #[arg(long, value_name = "N")]
    pub vcpus: Option<Vcpus>,

    /// Memory of the VM in MiB [default: 2048]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<MiB>,

    /// Hand a physical GPU to the VM (VFIO, Linux): its PCI address, or the only eligible one
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "auto")]
    pub gpu: Option<GpuChoice>,

    /// A keyboard or mouse of the host for a VM with a passed GPU: its file in /dev/input/by-id, usb:VENDOR:PRODUCT or
    /// usb:BUS-PORT (may be repeated)
    #[arg(long, value_name = "DEVICE")]
    pub input: Vec<Input>,

    /// Boot this kernel (vmlinux or bzImage; for aarch64 an Image)
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<OsString>,

    /// Boot this root filesystem (ext4; it is never written)
    #[arg(long, value_name = "FILE")]
    pub rootfs: Option<OsString>,

    /// What runs the guest's code: auto, kvm, hvf, whpx, tcg; all but auto force it
    #[arg(long)]
    pub accel: Option<AccelChoice>,

    /// The window: auto, gtk, sdl, cocoa, none
    #[arg(long)]
    pub display: Option<DisplayChoice>,

    /// The host's OpenGL in the guest (virgl): auto, on, off
    #[arg(long)]
    pub gl: Option<GlChoice>,

    /// How the VM comes to its prompt: auto, instant (from a VM saved short of it), boot
    #[arg(long)]
    pub start: Option<StartChoice>,

    /// The window's first size in pixels [default: 1280x800]
    #[arg(long, value_name = "WxH")]
    pub size: Option<WindowSize>,

    /// Start with the window over the whole screen
    #[arg(long)]
    pub fullscreen: bool,

    /// Keyboard layout, such as de or de(nodeadkeys) [default: the host's]
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<KeyboardChoice>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub vm: VmArgs,

    /// Name of the VM; each has a home of its own that is kept [default: default]
    #[arg(long)]
    pub name: Option<VmName>,

    /// Keep nothing, the home neither; needs no name
    #[arg(long)]
    pub ephemeral: bool,

    /// Return when the session is ready; the VM runs on until it is stopped
    #[arg(long)]
    pub detach: bool,

    /// Print the plan with its reasons and QEMU's command line; start nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct WarmArgs {
    #[command(flatten)]
    pub vm: VmArgs,

    /// For VMs that keep nothing
    #[arg(long)]
    pub ephemeral: bool,
}

impl VmArgs {
    /// What the flags say, as the uppermost layer of the configuration.
    pub fn layer(&self) -> Layer {
        fn said<T: Clone>(name: &str, value: &Option<T>) -> Option<Setting<T>> {
            value.clone().map(|value| Setting::flag(name, value))
        }
        let file = |name, path: &Option<OsString>| said(name, &path.clone().map(Source::from));
        Layer {
            vcpus: said("vcpus", &self.vcpus),
            memory: said("memory", &self.memory),
            accel: said("accel", &self.accel),
            gpu: said("gpu", &self.gpu),
            gpu_rom: None,
            gpu_x_vga: None,
            gpu_pack: None,
            input: (!self.input.is_empty()).then(|| Setting::flag("input", Inputs(self.input.clone()))),
            display: said("display", &self.display),
            gl: said("gl", &self.gl),
            start: said("start", &self.start),
            size: said("size", &self.size),
            fullscreen: self.fullscreen.then(|| Setting::flag("fullscreen", true)),
            keyboard: said("keyboard", &self.keyboard),
            kernel: file("kernel", &self.kernel),
            rootfs: file("rootfs", &self.rootfs),
            qemu: None,
            home_size: None,
            life_timeout: None,
            ready_timeout: None,
            tcg_patience: None,
            poweroff_timeout: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_takes_the_flags_of_run() {
        let cli = Cli::parse_from(["virtualghost", "--vcpus", "4", "--gpu"]);
        assert!(cli.command.is_none());
        let layer = cli.run.vm.layer();
        assert_eq!(layer.vcpus.unwrap().value.get(), 4);
        assert_eq!(layer.gpu.unwrap().value, GpuChoice::Auto);
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        let refusal = Cli::try_parse_from(["virtualghost", "run", "--vcpus", "0"]).unwrap_err().to_string();
        assert!(refusal.contains("from 1 to 255"), "{refusal}");
    }
}
