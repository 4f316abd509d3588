//! The syntax of the command line. Reads no file, no environment and nothing of the host.
//!
//! Commands are listed in the order of how often people need them.

use super::complete::{Shell, all_vms, host_and_guest_paths, running_vms, words};
use super::examples;
pub use super::vm_args::{CheckpointArgs, ExecArgs, ProgramArgs, RunArgs, RunCommand};
use crate::config::NetChoice;
use crate::model::units::{PciAddress, SnapshotTag, VmName};
use crate::model::{Rule, SysfsWrite};
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::ffi::OsString;
use std::path::PathBuf;

/// A Ghostty terminal in its own virtual machine.
///
/// Without a command, it is the same as `virtualghost run`.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_long_help = examples::PROGRAM)]
pub struct Cli {
    /// Increase verbosity on standard error (-v: info, -vv: debug, -vvv: trace)
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 100)]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a VM and open a terminal in it (the default command)
    #[command(after_long_help = examples::RUN)]
    Run(Box<RunCommand>),
    /// List running VMs
    #[command(after_long_help = examples::PS)]
    Ps {
        /// Print JSON, with every detail
        #[arg(long)]
        json: bool,
    },
    /// List all VMs, running or not, with what they keep
    #[command(after_long_help = examples::LS)]
    Ls {
        /// Print JSON, with every detail
        #[arg(long)]
        json: bool,
    },
    /// Power off a VM and wait until it has stopped
    #[command(after_long_help = examples::STOP)]
    Stop {
        /// Name of the VM [default: default, or the only running VM]
        #[arg(add = running_vms())]
        name: Option<VmName>,
        /// Stop all running VMs
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// Stop at once, without shutting down the guest
        #[arg(long)]
        force: bool,
    },
    /// Open a shell in a VM, or run a shell command in it, with OpenSSH
    #[command(after_long_help = examples::SSH)]
    Ssh {
        /// Name of the VM [default: default, or the only running VM]
        #[arg(add = running_vms())]
        name: Option<VmName>,
        /// Log in as root
        #[arg(long)]
        root: bool,
        /// Allocate a terminal for the command too; twice, even if standard input is none
        #[arg(short, long, action = clap::ArgAction::Count)]
        tty: u8,
        /// Let the VM set this terminal's clipboard and title, and ask it questions
        #[arg(long)]
        raw: bool,
        /// Command line for the guest's shell, as with ssh
        #[arg(last = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Run a program in a VM; arguments, exit status and binary stdio are passed through unchanged
    #[command(after_long_help = examples::EXEC)]
    Exec(Box<ExecArgs>),
    /// Copy files and folders to or from a VM; NAME:PATH is a path in a VM
    #[command(after_long_help = examples::CP)]
    Cp {
        /// Sources, then the destination
        #[arg(required = true, num_args = 2.., value_names = ["SRC", "DST"], add = ArgValueCompleter::new(host_and_guest_paths))]
        paths: Vec<OsString>,
    },
    /// Show what a VM may reach, what it has reached with how many bytes, and what was refused; or change it while the VM runs
    #[command(after_long_help = examples::NET)]
    Net(NetArgs),
    /// List the ports of this machine that lead into a VM
    #[command(after_long_help = examples::PORTS)]
    Ports {
        /// Name of the VM [default: default, or the only running VM]
        #[arg(add = running_vms())]
        name: Option<VmName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Open this port of the VM, whenever a program listens on it (may be repeated)
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
        open: Vec<u16>,
    },
    /// Show a VM's logs, also after it has stopped
    #[command(after_long_help = examples::LOGS)]
    Logs {
        /// Name of the VM
        #[arg(default_value = "default", add = all_vms())]
        name: VmName,
        /// Follow until the VM stops
        #[arg(short, long)]
        follow: bool,
        /// Show the guest's console (default)
        #[arg(long, conflicts_with = "qemu")]
        console: bool,
        /// Show QEMU's messages
        #[arg(long)]
        qemu: bool,
        /// Show which destinations the guest has reached, and which were refused
        #[arg(long, conflicts_with_all = ["console", "qemu"])]
        network: bool,
        /// Leave escape sequences in, also for a terminal, where the guest could then change its title or its clipboard
        #[arg(long)]
        raw: bool,
    },
    /// Resume a VM that was paused because the host's disk was full
    Resume {
        /// Name of the VM [default: default, or the only running VM]
        #[arg(add = running_vms())]
        name: Option<VmName>,
    },
    /// Show what a VM has changed in the copies of folders that it works on (--share DIR:copy)
    #[command(after_long_help = examples::DIFF)]
    Diff {
        /// Name of the VM [default: default, or the only VM with copies]
        #[arg(add = all_vms())]
        name: Option<VmName>,
        /// Print only the names: A is new, M changed, D gone, and C was changed on this machine too
        #[arg(long)]
        name_status: bool,
    },
    /// Bring what a VM has changed in copies of folders to this machine, after confirmation
    #[command(after_long_help = examples::APPLY)]
    Apply {
        /// Name of the VM [default: default, or the only VM with copies]
        #[arg(add = all_vms())]
        name: Option<VmName>,
        /// Delete the copies of a VM that is off instead, with what it has changed
        #[arg(long)]
        discard: bool,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Copy a VM that is off: its home, and its system if it keeps one
    #[command(after_long_help = examples::CLONE)]
    Clone {
        /// Name of the VM to copy
        #[arg(add = all_vms())]
        name: VmName,
        /// Name of the new VM
        new: VmName,
    },
    /// Save the home and the system of a VM that is off, to go back to them later
    #[command(after_long_help = examples::SNAPSHOT)]
    Snapshot {
        /// Name of the VM
        #[arg(add = all_vms())]
        name: VmName,
        /// Name of the snapshot [default: the date and time]
        tag: Option<SnapshotTag>,
    },
    /// Put the home and the system of a VM that is off back to a snapshot, after confirmation
    Restore {
        /// Name of the VM
        #[arg(add = all_vms())]
        name: VmName,
        /// Name of the snapshot
        tag: SnapshotTag,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Rename a VM that is off
    #[command(after_long_help = examples::RENAME)]
    Rename {
        /// Name of the VM
        #[arg(add = all_vms())]
        name: VmName,
        /// Its new name
        new: VmName,
    },
    /// Delete a VM with its home, system and snapshots, after confirmation
    #[command(after_long_help = examples::RM)]
    Rm {
        /// Name of the VM
        #[arg(add = all_vms())]
        name: VmName,
        /// Delete this snapshot of it alone
        #[arg(long, value_name = "TAG")]
        snapshot: Option<SnapshotTag>,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Check whether VMs can run on this machine, and print fixes
    #[command(after_long_help = examples::DOCTOR)]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Start a VM that tries to leave its network policy, and print what held
        #[arg(long, conflicts_with_all = ["json", "forget"])]
        boundary: bool,
        /// Forget features that failed at earlier starts, so that they are tried again
        #[arg(long, conflicts_with = "json")]
        forget: bool,
    },
    /// Print the settings, or create a configuration file
    #[command(after_long_help = examples::CONFIG)]
    Config(ConfigArgs),
    /// Create the checkpoint that instant starts resume
    #[command(after_long_help = examples::CHECKPOINT)]
    Checkpoint(Box<CheckpointArgs>),
    /// List, bind and release physical GPUs (VFIO, Linux)
    #[command(subcommand, after_long_help = examples::GPU)]
    Gpu(GpuCommand),
    /// Remove the unpacked kernel, root filesystem, QEMU and checkpoints from the cache; never a home or a system
    #[command(after_long_help = examples::CLEAN)]
    Clean {
        /// Only list what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Print an OpenSSH configuration, with which `ssh vg-NAME`, scp, rsync and other tools reach a VM
    #[command(after_long_help = examples::SSH_CONFIG)]
    SshConfig {
        /// Print only the configuration of this VM [default: all running VMs]
        #[arg(add = running_vms())]
        name: Option<VmName>,
        /// Include it in ~/.ssh/config, or in FILE, once; nothing else in that file changes
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, value_hint = ValueHint::FilePath, conflicts_with = "name")]
        install: Option<Option<PathBuf>>,
    },
    /// Print the completion script of a shell
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions {
        /// Name of the shell: bash, zsh, fish or powershell
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Connect standard input and output to a VM's SSH server (for OpenSSH's ProxyCommand)
    #[command(hide = true)]
    Proxy {
        name: VmName,
        /// Folder of the VMs
        #[arg(long)]
        vms: Option<PathBuf>,
    },
    /// Print OpenGL's renderer and version (started by doctor)
    #[command(hide = true)]
    Gl,
    /// Be the network of a VM (started by a launch)
    #[command(hide = true)]
    NetPeer {
        /// It inherits the agent's socket
        #[arg(long)]
        agent: bool,
    },
    /// Be the server of a shared folder (started by a launch)
    #[command(hide = true)]
    ShareServer {
        /// Nothing in the folder is changed
        #[arg(long)]
        read_only: bool,
    },
    /// Kill QEMU when its launcher ends (started by a launch on macOS)
    #[command(hide = true)]
    Guard { launcher: i32, qemu: i32 },
}

#[derive(Debug, Args)]
pub struct NetArgs {
    /// Name of the VM [default: default, or the only running VM]
    #[arg(add = running_vms())]
    pub name: Option<VmName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print it anew, each time that it has changed, until the VM stops; with --json, one object a line
    #[arg(short, long)]
    pub follow: bool,
    /// From now on: public, open or off; rules stay
    #[arg(long, add = words(NetChoice::WORDS))]
    pub net: Option<NetChoice>,
    /// From now on, open this much more (may be repeated)
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<Rule>,
    /// From now on, close everything, and forget all rules
    #[arg(long, conflicts_with_all = ["net", "allow"])]
    pub off: bool,
}

#[derive(Debug, Subcommand)]
pub enum GpuCommand {
    /// List GPUs: driver, IOMMU group, whether it can be passed to a VM, and if not, why and how to fix it
    List {
        /// Print JSON, with every detail
        #[arg(long)]
        json: bool,
    },
    /// Bind a GPU and the devices that belong to it to vfio-pci (as root), so that later starts do not need root
    Bind {
        /// PCI address of the GPU
        address: PciAddress,
        /// Bind it even if it drives the host's display, or shares its IOMMU group with other devices
        #[arg(long)]
        force: bool,
    },
    /// Return GPUs to their drivers (as root): those bound with `gpu bind`, and those of launches that were killed
    Release {
        /// PCI address of the GPU [default: all of them]
        address: Option<PciAddress>,
    },
    /// Bind a GPU until standard input closes
    #[command(hide = true)]
    Keep { address: PciAddress },
    /// Change the driver of one function
    #[command(hide = true, subcommand)]
    Write(SysfsWrite),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ConfigArgs {
    /// Print every setting, its value and where it was set
    #[arg(long)]
    pub show: bool,
    /// Of the VM with this name [default: default]
    #[arg(long, add = all_vms(), conflicts_with_all = ["path", "init"])]
    pub name: Option<VmName>,
    /// Print the path of the configuration file
    #[arg(long)]
    pub path: bool,
    /// Create a configuration file with every setting commented out (an existing file is not overwritten)
    #[arg(long)]
    pub init: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GpuChoice;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_flags_are_those_of_run() {
        let cli = Cli::parse_from(["virtualghost", "--vcpus", "4", "--gpu"]);
        assert!(cli.command.is_none());
        let layer = cli.run.vm.layer();
        assert_eq!(layer.vcpus.unwrap().value.get(), 4);
        assert_eq!(layer.gpu.unwrap().value, GpuChoice::Auto);
    }

    #[test]
    fn the_error_for_a_value_out_of_range_names_the_range() {
        let error = Cli::try_parse_from(["virtualghost", "run", "--vcpus", "0"]).unwrap_err().to_string();
        assert!(error.contains("255"), "{error}");
    }

    /// Each example starts with the program and a command line that clap accepts.
    #[test]
    fn each_example_is_a_valid_command_line() {
        let mut commands = vec![Cli::command()];
        let mut found = 0;
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines().filter_map(|line| line.strip_prefix("  $ ")) {
                let words = shlex::split(&line.replace("<(", "").replace(')', "")).unwrap();
                let start = words.iter().position(|word| word == "virtualghost").expect(line);
                let own = words[start..].iter().take_while(|word| !word.starts_with(['|', '>']));
                Cli::try_parse_from(own).unwrap_or_else(|error| panic!("{line}: {error}"));
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }
}
