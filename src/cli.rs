//! The command line's syntax, and nothing else: no file, no environment, no host.

use crate::config::{
    AccelChoice, DisplayChoice, GlChoice, GpuChoice, KeyboardChoice, Layer, Setting, Source,
};
use crate::units::{MiB, Vcpus, VmName, WindowSize};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;

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
    /// Remove the extracted kernel, root filesystem and QEMU from the cache
    Clean {
        /// Only list what would be removed
        #[arg(long)]
        dry_run: bool,
    },
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

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Virtual CPUs [default: 2]
    #[arg(long, value_name = "N")]
    pub vcpus: Option<Vcpus>,

    /// Memory of the VM in MiB [default: 2048]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<MiB>,

    /// Hand a physical GPU to the VM (VFIO, Linux): its PCI address, or the only eligible one
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "auto")]
    pub gpu: Option<GpuChoice>,

    /// Boot this kernel (vmlinux or bzImage)
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<OsString>,

    /// Boot this root filesystem (ext4; it is never written)
    #[arg(long, value_name = "FILE")]
    pub rootfs: Option<OsString>,

    /// Name of the VM: its host name and window title
    #[arg(long, default_value = "default")]
    pub name: VmName,

    /// What runs the guest's code: auto, kvm, hvf, whpx, tcg; all but auto force it
    #[arg(long)]
    pub accel: Option<AccelChoice>,

    /// The window: auto, gtk, sdl, cocoa, none
    #[arg(long)]
    pub display: Option<DisplayChoice>,

    /// The host's OpenGL in the guest (virgl): auto, on, off
    #[arg(long)]
    pub gl: Option<GlChoice>,

    /// The window's first size in pixels [default: 1280x800]
    #[arg(long, value_name = "WxH")]
    pub size: Option<WindowSize>,

    /// Start with the window over the whole screen
    #[arg(long)]
    pub fullscreen: bool,

    /// Keyboard layout, such as de or de(nodeadkeys) [default: the host's]
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<KeyboardChoice>,

    /// Print the plan with its reasons and QEMU's command line; start nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl RunArgs {
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
            display: said("display", &self.display),
            gl: said("gl", &self.gl),
            size: said("size", &self.size),
            fullscreen: self.fullscreen.then(|| Setting::flag("fullscreen", true)),
            keyboard: said("keyboard", &self.keyboard),
            kernel: file("kernel", &self.kernel),
            rootfs: file("rootfs", &self.rootfs),
            qemu: None,
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
        let layer = cli.run.layer();
        assert_eq!(layer.vcpus.unwrap().value.get(), 4);
        assert_eq!(layer.gpu.unwrap().value, GpuChoice::Auto);
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        let refusal = Cli::try_parse_from(["virtualghost", "run", "--vcpus", "0"]).unwrap_err().to_string();
        assert!(refusal.contains("from 1 to 255"), "{refusal}");
    }
}
