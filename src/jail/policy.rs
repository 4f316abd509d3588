//! What QEMU needs of the host, by what was seen of QEMU 10 with each window and OpenGL driver. Pure: existing and missing
//! files are the same here.

use super::{Access, JailPolicy, Network, Refusal, Rule};
use crate::model::{
    Accelerator, AgentLink, Backend, GpuMode, Input, Jail, RomChoice, Session, VmSpec, Window,
};
use crate::qemu::{Paths, Program, RootDisk};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The jail of a VM; None if it has none. `environment`: QEMU's.
pub fn policy(spec: &VmSpec, paths: &Paths, environment: &[(OsString, OsString)]) -> Option<JailPolicy> {
    if spec.jail.value == Jail::Off {
        return None;
    }
    let environment = Environment(environment);
    let mut rules = files(paths);
    rules.extend(program(&paths.qemu));
    rules.extend(system());
    rules.extend(devices(spec));
    match screen(spec, &environment) {
        Screen::X11 => rules.extend(window().chain(x_server(&environment))),
        Screen::Wayland(_) => rules.extend(window()),
        Screen::None => {}
    }
    if spec.gpu.value == GpuMode::Virgl {
        rules.extend(opengl(&environment, paths));
    }
    if spec.jail.value == Jail::GpuWide {
        rules.extend(wide());
    }
    let network = network(spec);
    if network == Network::All {
        rules.extend(names());
    }
    let screen = screen(spec, &environment);
    Some(JailPolicy {
        jail: spec.jail.value,
        enforcement: spec.jail_enforcement,
        rules,
        network,
        abstract_sockets: (screen == Screen::X11).then(|| "libxcb connects to the X server's".to_owned()),
        unix_sockets: (screen == Screen::X11).then(|| "the window is on an X server".to_owned()),
        wayland: match screen {
            Screen::Wayland(socket) => Some(socket),
            Screen::X11 | Screen::None => None,
        },
        refusal: if spec.jail_log { Refusal::Log } else { Refusal::Error },
    })
}

/// Where QEMU's window is.
#[derive(Debug, PartialEq, Eq)]
enum Screen {
    X11,
    /// The compositor's socket.
    Wayland(PathBuf),
    None,
}

/// In a Wayland session a user can have gtk use the X server (Xwayland).
fn screen(spec: &VmSpec, environment: &Environment<'_>) -> Screen {
    let prefers_x11 =
        || environment.get("GDK_BACKEND").is_some_and(|it| it.as_encoded_bytes().starts_with(b"x11"));
    match &spec.session {
        _ if spec.window.value == Window::None => Screen::None,
        Session::Wayland(_) if spec.window.value == Window::Gtk && prefers_x11() => Screen::X11,
        // An absolute path stays as it is.
        Session::Wayland(socket) => {
            Screen::Wayland(Path::new(environment.get("XDG_RUNTIME_DIR").unwrap_or_default()).join(socket))
        }
        Session::X11(_) => Screen::X11,
        Session::Native | Session::None { .. } => Screen::None,
    }
}

/// The VM's own files.
fn files(paths: &Paths) -> Vec<Rule> {
    let Paths { kernel, initrd, rootfs, qemu: _, overlay_folder, home, gpu_pack, root, cache, keys: _ } =
        paths;
    let mut rules = vec![
        Rule::new(Access::Read, kernel, "the VM's kernel"),
        Rule::new(Access::Read, rootfs, "the VM's image"),
        Rule::new(Access::Own, overlay_folder, "what the guest writes over the image"),
        Rule::new(Access::Own, cache, "compiled shaders and lists of fonts of this VM"),
    ];
    rules.extend(initrd.iter().map(|initrd| Rule::new(Access::Read, initrd, "the kernel's initrd")));
    rules.extend(home.iter().map(|home| Rule::new(Access::Write, home, "the VM's home")));
    rules.extend(gpu_pack.iter().map(|pack| Rule::new(Access::Read, pack, "the GPU pack")));
    // Its memory is beside its disk. One that is made now is in the overlay's folder.
    match root {
        RootDisk::Saved(disk) => {
            let folder = disk.parent().expect("it is in a folder");
            rules.push(Rule::new(Access::Read, folder, "the checkpoint"));
        }
        RootDisk::Kept { disk, image } => {
            rules.push(Rule::new(Access::Write, disk, "the VM's system"));
            rules.push(Rule::new(Access::Read, image, "the image under it"));
        }
        RootDisk::Enlarged(_) | RootDisk::ToSave(_) => {}
    }
    rules
}

fn program(qemu: &Program) -> Vec<Rule> {
    let folder = qemu.path.parent().unwrap_or(Path::new("/"));
    let up = folder.parent().unwrap_or(folder);
    let mut rules = Vec::new();
    match &qemu.bundle {
        Some(bundle) => {
            rules.push(Rule::new(Access::Run, up, "QEMU"));
            rules.push(Rule::new(Access::Read, &bundle.modules, "QEMU's modules"));
            rules.push(Rule::new(Access::Read, &bundle.data, "QEMU's firmware"));
        }
        // It may be a script that starts another program.
        None => {
            rules.push(Rule::new(Access::Run, folder, "your QEMU"));
            for part in ["lib", "lib64", "libexec", "share"] {
                rules.push(Rule::new(Access::Read, up.join(part), "files of your QEMU"));
            }
            for software in ["/bin", "/usr/bin", "/usr/local/bin", "/nix/store", "/gnu/store"] {
                rules.push(Rule::new(Access::Run, software, "your QEMU may be a script"));
            }
        }
    }
    for loader in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        rules.push(Rule::new(Access::Run, loader, "loads QEMU and its libraries (ld.so(8))"));
    }
    rules
}

/// What every program reads: nothing here is a user's.
fn system() -> Vec<Rule> {
    const LIBRARIES: &[&str] = &[
        "/lib",
        "/lib32",
        "/lib64",
        "/usr/lib",
        "/usr/lib32",
        "/usr/lib64",
        "/usr/local/lib",
        // NixOS and Guix have no other place.
        "/nix/store",
        "/gnu/store",
    ];
    const CONFIGURATION: &[&str] = &[
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/etc/localtime",
        "/etc/locale.alias",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/group",
        "/etc/machine-id",
        "/var/lib/dbus/machine-id",
        "/etc/gcrypt",
        "/etc/gnutls",
        "/etc/crypto-policies",
    ];
    const PROCESSES: &[&str] = &[
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/version",
        "/proc/filesystems",
        "/proc/sys/vm",
        "/proc/sys/kernel",
        "/proc/driver/nvidia",
    ];
    const HARDWARE: &[&str] =
        &["/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/module", "/sys/kernel/iommu_groups"];
    let read = |paths: &[&str], because: &str| -> Vec<Rule> {
        paths.iter().map(|path| Rule::new(Access::Read, path, because)).collect()
    };
    [
        read(LIBRARIES, "libraries and drivers"),
        read(&["/usr/share", "/usr/local/share"], "locales, fonts, icons, drivers' configuration"),
        read(CONFIGURATION, "the C library and others"),
        read(PROCESSES, "facts about the machine"),
        read(HARDWARE, "processors and graphics cards"),
        read(&["/dev/urandom", "/dev/random"], "random numbers"),
        vec![
            Rule::new(Access::Write, "/dev/null", "no input"),
            Rule::new(Access::Write, "/dev/zero", "empty memory"),
        ],
    ]
    .concat()
}

fn devices(spec: &VmSpec) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut add = |path: &Path, because: &str| rules.push(Rule::new(Access::Device, path, because));
    if spec.accelerator.value == Accelerator::Kvm {
        add(Path::new("/dev/kvm"), "runs the guest's code");
    }
    if spec.agent.value == AgentLink::Vsock {
        add(Path::new("/dev/vhost-vsock"), "the connection to the agent");
    }
    if let Some(passed) = &spec.passthrough {
        add(Path::new("/dev/vfio"), "the passed GPU");
        if passed.backend.value == Backend::Iommufd {
            add(Path::new("/dev/iommu"), "the passed GPU");
        }
        for input in &passed.inputs {
            match input {
                Input::Evdev(path) => add(path, "a passed keyboard or mouse"),
                Input::Usb(_) => add(Path::new("/dev/bus/usb"), "a passed USB device"),
            }
        }
        if let RomChoice::File(rom) = &passed.rom {
            rules.push(Rule::new(Access::Read, rom, "the option ROM of the passed GPU"));
        }
    }
    rules
}

fn window() -> impl Iterator<Item = Rule> {
    ["/etc/X11", "/etc/fonts", "/etc/gtk-3.0", "/etc/xdg/gtk-3.0"]
        .iter()
        .map(|path| Rule::new(Access::Read, path, "keyboards, fonts, the window's style"))
}

fn x_server(environment: &Environment<'_>) -> Vec<Rule> {
    let of_user = || Some(Path::new(environment.get("HOME")?).join(".Xauthority"));
    let cookie = environment.get("XAUTHORITY").map(PathBuf::from).or_else(of_user);
    let cookie = cookie.map(|path| Rule::new(Access::Read, path, "the X server's cookie"));
    cookie.into_iter().chain([Rule::new(Access::Connect, "/tmp/.X11-unix", "the X server")]).collect()
}

/// What the C library looks names up in: the display of `ssh -X` is localhost:10.
fn names() -> impl Iterator<Item = Rule> {
    let read = ["/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf"];
    let ask = ["/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"];
    let rule = |access, path: &&str| Rule::new(access, *path, "the name of the X server's machine");
    let rules = read.map(|path| rule(Access::Read, &path)).into_iter();
    rules.chain(ask.map(|path| rule(Access::Connect, &path)))
}

fn opengl(environment: &Environment<'_>, paths: &Paths) -> Vec<Rule> {
    const CONFIGURATION: &[&str] = &[
        "/etc/drirc",
        "/etc/egl",
        "/etc/glvnd",
        "/etc/vulkan",
        "/etc/nvidia",
        "/etc/OpenCL",
        "/run/opengl-driver",
    ];
    /// A list of folders or files, separated by colons; for the first ones only these parts are read.
    const PLACES: &[(&str, &[&str])] = &[
        ("XDG_DATA_DIRS", &["drirc.d", "fonts", "glvnd", "icons", "libdrm", "themes", "vulkan", "X11"]),
        ("XDG_CONFIG_DIRS", &["glvnd", "gtk-3.0", "vulkan"]),
        ("XCURSOR_PATH", &[""]),
        ("LD_LIBRARY_PATH", &[""]),
        ("LIBGL_DRIVERS_PATH", &[""]),
        ("GBM_BACKENDS_PATH", &[""]),
        ("LIBVA_DRIVERS_PATH", &[""]),
        ("__EGL_VENDOR_LIBRARY_DIRS", &[""]),
        ("__EGL_VENDOR_LIBRARY_FILENAMES", &[""]),
        ("__EGL_EXTERNAL_PLATFORM_CONFIG_DIRS", &[""]),
        ("__EGL_EXTERNAL_PLATFORM_CONFIG_FILENAMES", &[""]),
        ("VK_DRIVER_FILES", &[""]),
        ("VK_ICD_FILENAMES", &[""]),
    ];
    const NVIDIA: &[&str] = &[
        "nvidiactl",
        "nvidia-modeset",
        "nvidia-uvm",
        "nvidia-uvm-tools",
        "nvidia-caps",
        "nvidia-caps-imex-channels",
    ];
    /// More cards than this are a server's.
    const CARDS: usize = 8;
    let read = |path: &&str| Rule::new(Access::Read, path, "the graphics driver's configuration");
    let mut rules: Vec<_> = CONFIGURATION.iter().map(read).collect();
    rules.push(Rule::new(Access::Device, "/dev/dri", "the graphics card"));
    let cards = (0..CARDS).map(|number| format!("nvidia{number}"));
    let nodes = NVIDIA.iter().map(|&name| name.to_owned()).chain(cards);
    rules
        .extend(nodes.map(|node| Rule::new(Access::Device, Path::new("/dev").join(node), "NVIDIA's driver")));
    // The user's home must not come in with a list, nor another VM's.
    let private: Vec<_> =
        environment.get("HOME").map(Path::new).into_iter().chain([paths.cache.as_path()]).collect();
    for (variable, parts) in PLACES {
        let listed = environment.get(variable).and_then(OsStr::to_str).unwrap_or_default();
        for place in listed.split(':').map(PathBuf::from).filter(|place| place.is_absolute()) {
            let inside =
                parts.iter().map(|part| if part.is_empty() { place.clone() } else { place.join(part) });
            let is_public = |path: &PathBuf| !private.iter().any(|private| private.starts_with(path));
            rules.extend(
                inside.filter(is_public).map(|path| Rule::new(Access::Read, path, format!("in {variable}"))),
            );
        }
    }
    rules
}

/// An X server on another machine (`ssh -X`) is reached by TCP: its name is in front of the colon.
fn network(spec: &VmSpec) -> Network {
    let is_remote = matches!(&spec.session, Session::X11(display)
        if spec.window.value != Window::None && !display.starts_with([':', '/']) && !display.starts_with("unix:"));
    if is_remote { Network::All } else { Network::None }
}

/// What a driver in an unusual place may need: of the system, and not of the user.
fn wide() -> Vec<Rule> {
    let because = "jail gpu-wide";
    let read = ["/usr", "/opt", "/etc", "/run/host", "/var/lib/snapd/lib", "/snap", "/proc", "/sys"];
    let mut rules: Vec<_> = read.iter().map(|path| Rule::new(Access::Read, path, because)).collect();
    rules.push(Rule::new(Access::Device, "/dev", because));
    rules.push(Rule::new(Access::Own, "/dev/shm", because));
    rules
}

struct Environment<'a>(&'a [(OsString, OsString)]);

impl Environment<'_> {
    /// A variable that is set and not empty.
    fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.0.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }
}
