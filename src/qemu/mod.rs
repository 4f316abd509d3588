//! QEMU's command line: a [`VmSpec`] and paths in, arguments out. Pure. Knows QEMU's options and nothing
//! of the user, the configuration or the host.
//!
//! Each part of the machine is one function that gives its switches, front end and back end together;
//! [`argv`] is their list. What each option means is in qemu(1) of QEMU 10.

mod append;
mod board;
mod environment;
pub mod overlay;
mod switch;

pub use environment::environment;
pub use switch::Switch;

use crate::config::{Input, RomChoice, UsbAddress};
use crate::host::{Accelerator, Os, Session};
use crate::plan::{Backend, GpuMode, Home, Passthrough, Start, VmSpec, Window};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the parts are, decided by the stages before. All absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub kernel: PathBuf,
    pub rootfs: PathBuf,
    pub qemu: Program,
    /// A folder on disk for the throw-away overlay.
    pub overlay_folder: PathBuf,
    /// The disk that keeps the guest's /home (raw).
    pub home: Option<PathBuf>,
    /// The disk with the drivers of physical GPUs (squashfs).
    pub gpu_pack: Option<PathBuf>,
    pub root: RootDisk,
    /// A folder with a file for each of [`CREDENTIALS`].
    pub keys: PathBuf,
}

impl Paths {
    /// The same, each by another name.
    ///
    /// # Errors
    /// One has none.
    pub fn named<E>(self, name: impl Fn(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        let bundle = self.qemu.bundle.map(|bundle| -> Result<_, E> {
            Ok(Bundle { modules: name(bundle.modules)?, data: name(bundle.data)?, ..bundle })
        });
        Ok(Self {
            kernel: name(self.kernel)?,
            rootfs: name(self.rootfs)?,
            qemu: Program { path: name(self.qemu.path)?, bundle: bundle.transpose()? },
            overlay_folder: name(self.overlay_folder)?,
            home: self.home.map(&name).transpose()?,
            gpu_pack: self.gpu_pack.map(&name).transpose()?,
            root: self.root,
            keys: name(self.keys)?,
        })
    }
}

/// What the guest's root disk is. `rootfs` is only ever read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootDisk {
    /// `rootfs`, under an overlay that is thrown away.
    Image,
    /// An overlay ([`overlay::over`]) that is to be part of a checkpoint.
    ToSave(PathBuf),
    /// That of a checkpoint, under an overlay that is thrown away.
    Saved(PathBuf),
}

/// A qemu-system program and what it is told about its own files; an installed one knows them itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub bundle: Option<Bundle>,
}

/// Folders of the relocatable bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// `QEMU_MODULE_DIR`
    pub modules: PathBuf,
    /// `-L`
    pub data: PathBuf,
    /// The first number of its version, if it tells one.
    pub major: Option<u32>,
}

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
        root_disk(paths),
        home_disk(spec, paths),
        gpu_pack_disk(paths),
        gpu(spec),
        display(spec),
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
        root_disk(&paths),
        home_disk(spec, &paths),
        gpu(spec),
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

/// `snapshot=on`: the image is opened read-only, and what the guest writes goes to a temporary file that
/// has no name any more once it is open. Nothing has to be cleaned up, however QEMU ends. (No other QMP command may copy
/// such a disk: drive-backup and its like open the image with the flags of the temporary file, and so unlink it.)
fn root_disk(paths: &Paths) -> Vec<Switch> {
    let (format, snapshot, image) = match &paths.root {
        RootDisk::Image => ("raw", "on", &paths.rootfs),
        RootDisk::ToSave(overlay) => ("qcow2", "off", overlay),
        RootDisk::Saved(overlay) => ("qcow2", "on", overlay),
    };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "root")
            .set("format", format)
            .set("snapshot", snapshot)
            .set("discard", "unmap")
            .set("file", image),
        Switch::of("-device", "virtio-blk-pci").set("drive", "root"),
    ]
}

/// The guest finds it by its serial number. Space that it no longer uses goes back to the host.
fn home_disk(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    let device = Switch::of("-device", "virtio-blk-pci").set("drive", "home").set("serial", "home");
    if spec.start.value == Start::Instant {
        return if matches!(spec.home, Home::Kept(_)) { nobodys_home(device) } else { Vec::new() };
    }
    let Some(home) = &paths.home else { return Vec::new() };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "home")
            .set("format", "raw")
            .set("discard", "unmap")
            .set("file", home),
        device,
    ]
}

/// The guest finds it by its serial number, and can't write to it.
fn gpu_pack_disk(paths: &Paths) -> Vec<Switch> {
    let Some(image) = &paths.gpu_pack else { return Vec::new() };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "gpu-pack")
            .set("format", "raw")
            .set("readonly", "on")
            .set("file", image),
        Switch::of("-device", "virtio-blk-pci").set("drive", "gpu-pack").set("serial", "gpu-pack"),
    ]
}

/// At a checkpoint the disk holds nothing. The home takes the place of what is behind it once the VM is somebody's.
fn nobodys_home(device: Switch) -> Vec<Switch> {
    let node = |driver, name| Switch::options("-blockdev").set("driver", driver).set("node-name", name);
    vec![
        node("null-co", "home-none").set("size", "1048576").set("read-zeroes", "on"),
        node("raw", "home").set("file", "home-none").set("discard", "unmap"),
        device,
    ]
}

fn gpu(spec: &VmSpec) -> Vec<Switch> {
    let virtual_gpu = |kind| {
        vec![
            Switch::of("-device", kind)
                .set("xres", spec.size.width.to_string())
                .set("yres", spec.size.height.to_string()),
            Switch::of("-device", "virtio-keyboard-pci"),
            Switch::of("-device", "virtio-tablet-pci"),
        ]
    };
    match spec.gpu.value {
        GpuMode::Virgl => virtual_gpu("virtio-gpu-gl-pci"),
        GpuMode::Software => virtual_gpu("virtio-gpu-pci"),
        GpuMode::Passthrough(_) => spec.passthrough.iter().flat_map(passthrough).collect(),
    }
}

/// The card's functions stay functions of one device, behind a root port of its own, so that it can be reset.
fn passthrough(passed: &Passthrough) -> Vec<Switch> {
    let card = &passed.handover.card;
    let iommufd = passed.backend.value == Backend::Iommufd;
    let mut switches: Vec<_> =
        iommufd.then(|| Switch::of("-object", "iommufd").set("id", "iommufd")).into_iter().collect();
    switches.push(Switch::of("-device", "pcie-root-port").set("id", "gpu-port").set("chassis", "1"));
    switches.extend(card.iter().enumerate().map(|(function, address)| {
        let mut device = Switch::of("-device", "vfio-pci")
            .set("host", address.to_string())
            .set("bus", "gpu-port")
            .set("addr", format!("0.{function}"));
        if iommufd {
            device = device.set("iommufd", "iommufd");
        }
        if function == 0 && card.len() > 1 {
            device = device.set("multifunction", "on");
        }
        if *address == passed.handover.gpu {
            device = match &passed.rom {
                RomChoice::Card => device,
                RomChoice::None => device.set("rombar", "0"),
                RomChoice::File(path) => device.set("romfile", path),
            };
            if passed.x_vga {
                device = device.set("x-vga", "on");
            }
        }
        device
    }));
    switches.extend(inputs(&passed.inputs));
    switches
}

/// By evdev the VM sees virtio devices of its own; both control keys together give all of them back to the host or take
/// them again (grab_all). A USB device it sees itself, at a controller of the VM's.
fn inputs(inputs: &[Input]) -> Vec<Switch> {
    let device = |name: &str| Switch::of("-device", name);
    let mut switches = Vec::new();
    if inputs.iter().any(|input| matches!(input, Input::Evdev(_))) {
        switches.extend(["virtio-keyboard-pci", "virtio-mouse-pci"].map(device));
    }
    if inputs.iter().any(|input| matches!(input, Input::Usb(_))) {
        switches.push(device("qemu-xhci"));
    }
    switches.extend(inputs.iter().enumerate().map(|(number, input)| {
        match input {
            Input::Evdev(path) => Switch::of("-object", "input-linux")
                .set("id", format!("input{number}"))
                .set("evdev", path)
                .set("grab_all", "on")
                .set("repeat", "on"),
            Input::Usb(UsbAddress::Ids { vendor, product }) => device("usb-host")
                .set("vendorid", format!("{vendor:#06x}"))
                .set("productid", format!("{product:#06x}")),
            Input::Usb(UsbAddress::Port { bus, port }) => {
                device("usb-host").set("hostbus", bus.to_string()).set("hostport", port)
            }
        }
    }));
    switches
}

fn display(spec: &VmSpec) -> Vec<Switch> {
    let gl = if spec.gpu.value == GpuMode::Virgl { "on" } else { "off" };
    let mut switches = vec![match spec.window.value {
        Window::Gtk => Switch::of("-display", "gtk")
            .set("gl", gl)
            .set("show-tabs", "off")
            .set("show-menubar", "off")
            .set("zoom-to-fit", "on"),
        Window::Sdl => Switch::of("-display", "sdl").set("gl", gl),
        Window::Cocoa => Switch::of("-display", "cocoa").set("zoom-to-fit", "on"),
        Window::None => Switch::of("-display", "none"),
    }];
    if spec.fullscreen && spec.window.value != Window::None {
        switches.push(Switch::bare("-full-screen"));
    }
    switches
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

/// SDL picks a driver by itself and may pick one that shows nothing; the session is known, so it is told.
fn sdl_driver(spec: &VmSpec) -> Option<&'static str> {
    match (&spec.session, spec.window.value) {
        (Session::X11(_), Window::Sdl) => Some("x11"),
        (Session::Wayland(_), Window::Sdl) => Some("wayland"),
        _ => None,
    }
}

// They join paths as Unix does.
#[cfg(all(test, unix))]
mod tests;
