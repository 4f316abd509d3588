//! QEMU's command line: a [`VmSpec`] and paths in, arguments out. Pure. Knows QEMU's options and nothing
//! of the user, the configuration or the host.
//!
//! Each part of the machine is one function that gives its switches, front end and back end together;
//! [`argv`] is their list. What each option means is in qemu(1) of QEMU 10.

mod append;
mod board;
mod disks;
mod environment;
pub mod overlay;
mod paths;
mod screen;
mod switch;

pub use environment::environment;
pub use paths::{Bundle, Paths, Program, RootDisk};
pub use switch::Switch;

use crate::host::{Accelerator, Os};
use crate::plan::{Start, VmSpec};
use std::ffi::OsString;
use std::path::PathBuf;

/// How the guest's console and control port reach the launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// An inherited, connected socket (Unix).
    Descriptor(i32),
    /// A named pipe that QEMU makes (Windows).
    Pipe(String),
}

/// Where the guest's agent is reached from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// At its port of this context id (vsock(7)).
    Vsock { cid: u32 },
    /// At a port of 127.0.0.1 that the system picks; `info usernet` tells which.
    Loopback,
}

/// The channels besides QMP, which is on QEMU's standard input and output on every OS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    pub console: Channel,
    pub control: Channel,
    pub agent: Agent,
}

/// The name of the guest's control port; the guest finds it as /dev/virtio-ports/NAME.
pub const CONTROL_PORT: &str = "org.virtualghost.control";

/// What the agent is told, as systemd's system credentials (systemd.exec(5), "Credentials"): read by QEMU from files
/// and by the guest from the firmware configuration device, so they stand on no command line.
pub const CREDENTIALS: [&str; 3] = ["ghostly.host-key", "ghostly.authorized-user", "ghostly.authorized-root"];

/// The agent's port, in both kinds of [`Agent`].
pub const AGENT_PORT: u16 = 22;

/// QEMU's arguments, without the program itself.
pub fn argv(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<OsString> {
    let parts = [
        core(spec, paths, channels),
        control_port(),
        disks::root(paths),
        disks::home(spec, paths),
        disks::gpu_pack(paths),
        screen::gpu(spec),
        screen::display(spec),
        network(channels.agent),
        agent(channels.agent),
        credentials(spec, paths),
        entropy_and_memory(),
        restore(paths),
        sandbox(spec),
    ];
    parts.into_iter().flatten().flat_map(Switch::arguments).collect()
}

/// All that a VM started from a checkpoint must have in common with the one that was saved, as text.
pub fn machine_identity(spec: &VmSpec) -> String {
    let nowhere = PathBuf::new();
    let paths = Paths {
        kernel: nowhere.clone(),
        rootfs: nowhere.clone(),
        qemu: Program { path: nowhere.clone(), bundle: None },
        overlay_folder: nowhere.clone(),
        home: None,
        gpu_pack: None,
        root: RootDisk::Image,
        keys: nowhere,
    };
    let parts = [
        machine(spec, &paths.qemu),
        boot(spec, &paths),
        control_port(),
        disks::root(&paths),
        disks::home(spec, &paths),
        screen::gpu(spec),
        network(Agent::Loopback),
        entropy_and_memory(),
    ];
    let words: Vec<_> = parts.into_iter().flatten().flat_map(Switch::arguments).collect();
    words.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
}

/// The least that shows whether an accelerator runs a guest: a kernel with a console, and no disk to boot from.
pub fn trial(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<OsString> {
    let parts = [core(spec, paths, channels), vec![Switch::of("-display", "none")], sandbox(spec)];
    parts.into_iter().flatten().flat_map(Switch::arguments).collect()
}

/// What every machine has: it boots a kernel, and says how it fares.
fn core(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<Switch> {
    [
        identity(spec, &paths.qemu),
        machine(spec, &paths.qemu),
        boot(spec, paths),
        lifecycle(spec),
        channel("console", &channels.console),
        vec![Switch::plain("-serial", "chardev:console")],
        channel("control", &channels.control),
    ]
    .concat()
}

fn identity(spec: &VmSpec, qemu: &Program) -> Vec<Switch> {
    let mut switches = vec![
        Switch::options("-name").set("guest", spec.name.as_str()),
        Switch::bare("-nodefaults"),
        Switch::bare("-no-user-config"),
    ];
    if let Some(bundle) = &qemu.bundle {
        switches.push(Switch::plain("-L", &bundle.data));
    }
    switches
}

fn machine(spec: &VmSpec, qemu: &Program) -> Vec<Switch> {
    let accelerator = match spec.accelerator.value {
        Accelerator::Kvm => Switch::of("-accel", "kvm"),
        Accelerator::Hvf => Switch::of("-accel", "hvf"),
        Accelerator::Whpx => whpx(qemu),
        Accelerator::Tcg => Switch::of("-accel", "tcg").set("thread", "multi"),
    };
    let mut switches = vec![
        board::machine(spec.arch),
        accelerator,
        board::cpu(spec),
        Switch::options("-smp").set("cpus", spec.vcpus.to_string()),
        Switch::options("-m").set("size", format!("{}M", spec.memory)),
    ];
    switches.extend(board::devices(spec.arch));
    switches
}

/// Before QEMU 11 its interrupt controller in the hypervisor loses interrupts; from there on there is no other. A QEMU that
/// does not tell its version is taken for a new one.
fn whpx(qemu: &Program) -> Switch {
    const IN_THE_HYPERVISOR_ONLY: u32 = 11;
    let whpx = Switch::of("-accel", "whpx");
    match qemu.bundle.as_ref().and_then(|bundle| bundle.major) {
        Some(major) if major < IN_THE_HYPERVISOR_ONLY => whpx.set("kernel-irqchip", "off"),
        _ => whpx,
    }
}

fn boot(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    vec![Switch::plain("-kernel", &paths.kernel), Switch::plain("-append", append::append(spec))]
}

/// The launcher decides how a VM ends: QEMU reports over QMP and waits. A reset ends the VM too (the
/// kernel resets after a panic).
fn lifecycle(_spec: &VmSpec) -> Vec<Switch> {
    vec![
        Switch::of("-chardev", "stdio").set("id", "qmp").set("signal", "off"),
        Switch::options("-mon").set("chardev", "qmp").set("mode", "control"),
        Switch::options("-action").set("reboot", "shutdown").set("shutdown", "pause").set("panic", "pause"),
    ]
}

fn channel(id: &str, channel: &Channel) -> Vec<Switch> {
    vec![match channel {
        Channel::Descriptor(fd) => Switch::of("-chardev", "socket").set("id", id).set("fd", fd.to_string()),
        Channel::Pipe(name) => Switch::of("-chardev", "pipe").set("id", id).set("path", name),
    }]
}

fn control_port() -> Vec<Switch> {
    vec![
        Switch::of("-device", "virtio-serial-pci").set("max_ports", "2"),
        Switch::of("-device", "virtserialport").set("chardev", "control").set("name", CONTROL_PORT),
    ]
}

/// User-mode networking: out through the host, and in only to the agent. No boot ROM: the kernel is loaded directly.
fn network(agent: Agent) -> Vec<Switch> {
    let mut user = Switch::of("-netdev", "user").set("id", "net");
    if agent == Agent::Loopback {
        user = user.set("hostfwd", format!("tcp:127.0.0.1:0-:{AGENT_PORT}"));
    }
    vec![user, Switch::of("-device", "virtio-net-pci").set("netdev", "net").set("romfile", "")]
}

fn agent(agent: Agent) -> Vec<Switch> {
    match agent {
        Agent::Vsock { cid } => {
            vec![Switch::of("-device", "vhost-vsock-pci").set("guest-cid", cid.to_string())]
        }
        Agent::Loopback => Vec::new(),
    }
}

/// After a checkpoint they come over the control port: what is saved must hold nobody's.
fn credentials(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    if spec.start.value == Start::Instant {
        return Vec::new();
    }
    let credential = |name: &&str| {
        Switch::options("-fw_cfg")
            .set("name", format!("opt/io.systemd.credentials/{name}"))
            .set("file", paths.keys.join(name))
    };
    CREDENTIALS.iter().map(credential).collect()
}

/// Free page reporting gives back to the host what the guest does not use.
fn entropy_and_memory() -> Vec<Switch> {
    vec![
        Switch::of("-device", "virtio-rng-pci"),
        Switch::of("-device", "virtio-balloon-pci").set("free-page-reporting", "on"),
    ]
}

/// The saved state is read when QMP says from where, and the VM is not let run before QMP says so.
fn restore(paths: &Paths) -> Vec<Switch> {
    match paths.root {
        RootDisk::Saved(_) => vec![Switch::plain("-incoming", "defer"), Switch::bare("-S")],
        RootDisk::Image | RootDisk::ToSave(_) => Vec::new(),
    }
}

/// seccomp, where QEMU has it. `spawn` may be denied: nothing here starts a helper program.
fn sandbox(spec: &VmSpec) -> Vec<Switch> {
    match spec.os {
        Os::Linux => vec![
            ["obsolete", "elevateprivileges", "spawn", "resourcecontrol"]
                .iter()
                .fold(Switch::of("-sandbox", "on"), |sandbox, what| sandbox.set(what, "deny")),
        ],
        Os::MacOs | Os::Windows => Vec::new(),
    }
}

// They join paths as Unix does.
#[cfg(all(test, unix))]
mod tests;
