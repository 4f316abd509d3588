//! QEMU's command line: a [`VmSpec`] and paths in, arguments out. Pure. Knows QEMU's options and nothing
//! of the user, the configuration or the host.
//!
//! Each part of the machine is one function that returns its switches, front end and back end together; [`argv`] is their
//! list. The options are described in qemu(1) of QEMU 10.

mod channels;
mod disks;
mod display;
mod doors;
mod environment;
mod kernel_cmdline;
mod machine;
mod paths;
pub mod qcow2;
pub mod qmp;
mod shares;
mod switch;

pub use channels::{Agent, Channel, Channels, KeySource, channels};
pub use doors::doors;
pub use environment::environment;
pub use paths::{Bundle, Paths, Program, RootDisk};
pub use shares::plugged as plugged_shares;
pub use switch::Switch;

use crate::model::{Accelerator, Net, Os, Start, VmSpec};
use crate::protocol::{AGENT_PORT, CARD_MTU, CONTROL_PORT, CREDENTIALS, GUEST_MAC};
use std::ffi::OsString;
use std::path::PathBuf;

/// QEMU's arguments, without the program itself.
pub fn argv(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<OsString> {
    let parts = [
        core(spec, paths, channels),
        shares::memory(spec),
        control_port(),
        disks::root(paths),
        disks::home(spec, paths),
        disks::gpu_pack(paths),
        display::gpu(spec),
        display::display(spec),
        network(spec, channels),
        agent(channels.agent),
        credentials(spec, paths, channels.keys),
        doors::credential(spec),
        entropy_and_memory(),
        shares::port(spec),
        shares::devices(spec, channels),
        restore(paths),
        sandbox(spec),
    ];
    parts.into_iter().flatten().flat_map(Switch::arguments).collect()
}

/// Everything that a VM must have in common with a checkpoint to resume it, as text.
pub fn machine_identity(spec: &VmSpec) -> String {
    let nowhere = PathBuf::new();
    let paths = Paths {
        kernel: nowhere.clone(),
        initrd: None,
        rootfs: nowhere.clone(),
        qemu: Program { path: nowhere.clone(), bundle: None },
        overlay_folder: nowhere.clone(),
        home: None,
        gpu_pack: None,
        root: RootDisk::Enlarged(nowhere.clone()),
        cache: nowhere.clone(),
        keys: nowhere,
    };
    let parts = [
        machine(spec, &paths.qemu),
        boot(spec, &paths),
        control_port(),
        disks::root(&paths),
        disks::home(spec, &paths),
        display::gpu(spec),
        card(spec),
        entropy_and_memory(),
        shares::port(spec),
    ];
    let words: Vec<_> = parts.into_iter().flatten().flat_map(Switch::arguments).collect();
    // The size of the root disk is in its file.
    format!("{} root_size={}", words.join(std::ffi::OsStr::new(" ")).to_string_lossy(), spec.root_size)
}

/// The smallest VM that shows whether an accelerator works: a kernel with a console, and no disk.
pub fn smoke_test(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<OsString> {
    let parts = [core(spec, paths, channels), vec![Switch::of("-display", "none")], sandbox(spec)];
    parts.into_iter().flatten().flat_map(Switch::arguments).collect()
}

/// What every machine has: a kernel, a console and QMP.
fn core(spec: &VmSpec, paths: &Paths, channels: &Channels) -> Vec<Switch> {
    [
        identity(spec, &paths.qemu),
        machine(spec, &paths.qemu),
        boot(spec, paths),
        lifecycle(),
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
        machine::machine(spec.arch),
        accelerator,
        machine::cpu(spec),
        Switch::options("-smp").set("cpus", spec.vcpus.to_string()),
        Switch::options("-m").set("size", format!("{}M", spec.memory)),
    ];
    switches.extend(machine::devices(spec.arch));
    switches
}

/// Before QEMU 11 the interrupt controller in the hypervisor loses interrupts; since then it is the only one. A QEMU of
/// unknown version is treated as a new one.
fn whpx(qemu: &Program) -> Switch {
    const IN_THE_HYPERVISOR_ONLY: u32 = 11;
    let whpx = Switch::of("-accel", "whpx");
    match qemu.bundle.as_ref().and_then(|bundle| bundle.major) {
        Some(major) if major < IN_THE_HYPERVISOR_ONLY => whpx.set("kernel-irqchip", "off"),
        _ => whpx,
    }
}

fn boot(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    let mut switches = vec![Switch::plain("-kernel", &paths.kernel)];
    switches.extend(paths.initrd.iter().map(|initrd| Switch::plain("-initrd", initrd)));
    switches.push(Switch::plain("-append", kernel_cmdline::kernel_cmdline(spec)));
    switches
}

/// The launcher decides how a VM ends: QEMU reports over QMP and waits. A reset ends the VM too (the
/// kernel resets after a panic).
fn lifecycle() -> Vec<Switch> {
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

/// The card is joined to its peer by an inherited socket. Without one (Windows) it is on QEMU's user network: outgoing through
/// the host, incoming only to the agent; a VM without a network has no way out there.
fn network(spec: &VmSpec, channels: &Channels) -> Vec<Switch> {
    let cable = match channels.network {
        Some(number) => Switch::of("-netdev", "dgram")
            .set("id", "net")
            .set("local.type", "fd")
            .set("local.str", number.to_string()),
        None => {
            let mut user = Switch::of("-netdev", "user").set("id", "net");
            if spec.net.value == Net::Off {
                user = user.set("restrict", "on");
            }
            if channels.agent == Agent::Loopback {
                user = user.set("hostfwd", format!("tcp:127.0.0.1:0-:{AGENT_PORT}"));
            }
            user
        }
    };
    [vec![cable], card(spec)].concat()
}

/// No boot ROM: the kernel is loaded directly. QEMU's user network carries the usual packets only.
fn card(spec: &VmSpec) -> Vec<Switch> {
    let card =
        Switch::of("-device", "virtio-net-pci").set("netdev", "net").set("mac", GUEST_MAC).set("romfile", "");
    vec![match spec.os {
        Os::Linux | Os::MacOs => card.set("host_mtu", CARD_MTU.to_string()),
        Os::Windows => card,
    }]
}

fn agent(agent: Agent) -> Vec<Switch> {
    match agent {
        Agent::Vsock { cid } => {
            vec![Switch::of("-device", "vhost-vsock-pci").set("guest-cid", cid.to_string())]
        }
        Agent::Socket | Agent::Loopback => Vec::new(),
    }
}

/// With a checkpoint they are sent over the control port: a checkpoint must not contain keys.
fn credentials(spec: &VmSpec, paths: &Paths, keys: KeySource) -> Vec<Switch> {
    if spec.start.value == Start::Instant {
        return Vec::new();
    }
    let file = |index: usize, name: &str| match keys {
        KeySource::Descriptors(first) => PathBuf::from(format!("/dev/fd/{}", first + index as i32)),
        KeySource::Files => paths.keys.join(name),
    };
    let credential = |(index, name): (usize, &&str)| {
        Switch::options("-fw_cfg")
            .set("name", format!("opt/io.systemd.credentials/{name}"))
            .set("file", file(index, name))
    };
    CREDENTIALS.iter().enumerate().map(credential).collect()
}

/// Free page reporting returns memory that the guest does not use to the host.
fn entropy_and_memory() -> Vec<Switch> {
    vec![
        Switch::of("-device", "virtio-rng-pci"),
        Switch::of("-device", "virtio-balloon-pci").set("free-page-reporting", "on"),
    ]
}

/// QEMU waits for QMP commands that restore the saved state and then resume the VM.
fn restore(paths: &Paths) -> Vec<Switch> {
    match paths.root {
        RootDisk::Saved(_) => vec![Switch::plain("-incoming", "defer"), Switch::bare("-S")],
        RootDisk::Enlarged(_) | RootDisk::ToSave(_) | RootDisk::Kept { .. } => Vec::new(),
    }
}

/// seccomp, where QEMU supports it. `spawn` can be denied: no helper program is needed.
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
