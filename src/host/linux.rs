//! Linux: /dev, /proc, /sys, the X server.

use super::{
    Accelerator, Availability, GpuPack, HostFacts, HostKeyboard, Os, Session, Window, arch, fingerprint,
};
use crate::arch::Arch;
use crate::folders::Folders;
use crate::vfio;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub fn probe() -> HostFacts {
    let session = session();
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let meminfo = read("/proc/meminfo");
    HostFacts {
        os: Os::Linux,
        arch: arch(),
        machine: fingerprint(&[&read("/etc/machine-id"), &read("/proc/sys/kernel/osrelease")]),
        accelerator: Accelerator::Kvm,
        acceleration: kvm(Path::new("/dev/kvm"), arch()),
        keyboard: keyboard(&session),
        session,
        windows: vec![(Window::Gtk, Availability::Available), (Window::Sdl, Availability::Available)],
        gl: Availability::Available,
        vsock: vsock(Path::new("/dev/vhost-vsock")),
        checkpoint: Availability::Available,
        memory_mib: memory_mib(&meminfo, "MemTotal:"),
        available_mib: memory_mib(&meminfo, "MemAvailable:"),
        pci: vfio::Facts::default(),
        gpu_pack: gpu_pack(),
    }
}

/// Without a home folder nothing is launched at all.
fn gpu_pack() -> GpuPack {
    let folder = Folders::find().map(|folders| folders.gpu_pack_path()).unwrap_or_default();
    GpuPack { is_there: folder.is_dir(), folder }
}

fn kvm(node: &Path, arch: Option<Arch>) -> Availability {
    let missing = match arch {
        Some(Arch::Aarch64) => {
            "have the firmware start Linux at EL2 (`dmesg | grep -i kvm` tells), or take a bare machine"
        }
        _ => {
            "switch virtualization (VT-x, AMD-V) on in the firmware, then: sudo modprobe -a kvm_intel kvm_amd"
        }
    };
    match File::options().read(true).write(true).open(node) {
        Ok(_) => Availability::Available,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Availability::until(format!("there is no {}", node.display()), missing)
        }
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Availability::until(format!("no permission for {}", node.display()), permission_fix(node))
        }
        Err(e) => Availability::unavailable(format!("{} does not open: {e}", node.display())),
    }
}

/// The group that may, if there is one; else a rule for udev(7) that makes it so.
fn permission_fix(node: &Path) -> String {
    const RULE: &str = "echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"' | sudo tee /etc/udev/rules.d/65-kvm.rules && \
        sudo udevadm control --reload && sudo udevadm trigger /dev/kvm && sudo usermod -aG kvm $USER, then log in again";
    let group = fs::metadata(node)
        .ok()
        .filter(|meta| meta.mode() & 0o060 == 0o060)
        .and_then(|meta| nix::unistd::Group::from_gid(meta.gid().into()).ok().flatten());
    match group {
        Some(group) if group.gid.as_raw() != 0 => {
            format!("sudo usermod -aG {} $USER, then log in again", group.name)
        }
        _ => RULE.to_owned(),
    }
}

/// The node may be there without a driver behind it, so it is opened.
fn vsock(node: &Path) -> Availability {
    match File::options().read(true).write(true).open(node) {
        Ok(_) => Availability::Available,
        Err(e) => Availability::until(
            format!("{} does not open: {e}", node.display()),
            format!("sudo modprobe vhost_vsock, and let your group open {}", node.display()),
        ),
    }
}

fn session() -> Session {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("WAYLAND_DISPLAY"), set("DISPLAY")) {
        (Some(socket), _) => Session::Wayland(socket),
        (None, Some(display)) => Session::X11(display),
        (None, None) => Session::None { because: "neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned() },
    }
}

/// In the order of authority: what a Wayland session exports, what the X server (or Xwayland) uses, what
/// the system is configured to.
fn keyboard(session: &Session) -> Option<HostKeyboard> {
    let from_environment = || {
        let get = |name| std::env::var(name).unwrap_or_default();
        with_layout(HostKeyboard {
            layout: get("XKB_DEFAULT_LAYOUT"),
            variant: get("XKB_DEFAULT_VARIANT"),
            model: get("XKB_DEFAULT_MODEL"),
            options: get("XKB_DEFAULT_OPTIONS"),
            found_in: "XKB_DEFAULT_LAYOUT",
        })
    };
    let from_server = || match session {
        Session::None { .. } => None,
        _ => rules_names(&x_rules_names()?),
    };
    let from_system = || system_keyboard(&fs::read_to_string("/etc/default/keyboard").ok()?);
    from_environment().or_else(from_server).or_else(from_system)
}

fn with_layout(keyboard: HostKeyboard) -> Option<HostKeyboard> {
    (!keyboard.layout.is_empty()).then_some(keyboard)
}

/// The root window's `_XKB_RULES_NAMES`, which every X server and setxkbmap keep.
fn x_rules_names() -> Option<Vec<u8>> {
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{AtomEnum, ConnectionExt};
    let (connection, screen) = x11rb::connect(None).ok()?;
    let root = connection.setup().roots.get(screen)?.root;
    let property = connection.intern_atom(true, b"_XKB_RULES_NAMES").ok()?.reply().ok()?.atom;
    let value = connection.get_property(false, root, property, AtomEnum::STRING, 0, 1024).ok()?;
    Some(value.reply().ok()?.value)
}

/// `rules \0 model \0 layout \0 variant \0 options \0` (xkbcommon's and libxkbfile's XKB_RULES_NAMES).
fn rules_names(value: &[u8]) -> Option<HostKeyboard> {
    let mut parts = value.split(|&b| b == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let _rules = parts.next()?;
    let mut next = || parts.next().unwrap_or_default();
    with_layout(HostKeyboard {
        model: next(),
        layout: next(),
        variant: next(),
        options: next(),
        found_in: "the X server",
    })
}

/// Debian's keyboard(5): shell assignments `XKBLAYOUT="de"`.
fn system_keyboard(text: &str) -> Option<HostKeyboard> {
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
            .next_back()
            .map(|value| value.trim().trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    with_layout(HostKeyboard {
        layout: value("XKBLAYOUT"),
        variant: value("XKBVARIANT"),
        model: value("XKBMODEL"),
        options: value("XKBOPTIONS"),
        found_in: "/etc/default/keyboard",
    })
}

/// `MemTotal:  24512345 kB` of proc_meminfo(5).
fn memory_mib(meminfo: &str, row: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix(row)?.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_x_servers_keyboard_is_read_from_its_property() {
        let keyboard = rules_names(b"evdev\0pc105\0us,de\0,nodeadkeys\0grp:alt_shift_toggle\0").unwrap();
        assert_eq!((keyboard.layout.as_str(), keyboard.variant.as_str()), ("us,de", ",nodeadkeys"));
        assert_eq!((keyboard.model.as_str(), keyboard.options.as_str()), ("pc105", "grp:alt_shift_toggle"));
        assert_eq!(rules_names(b""), None);
        assert_eq!(rules_names(b"evdev\0pc105\0"), None);
    }

    #[test]
    fn the_systems_keyboard_is_read_from_its_file() {
        let keyboard =
            system_keyboard("# x\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT=\"\"\n").unwrap();
        assert_eq!((keyboard.layout.as_str(), keyboard.model.as_str()), ("de", "pc105"));
        assert_eq!(system_keyboard("XKBMODEL=pc105\n"), None);
    }

    #[test]
    fn memory_is_the_machines_total() {
        assert_eq!(memory_mib("MemTotal:       24608716 kB\nMemFree: 1 kB\n", "MemTotal:"), 24031);
        assert_eq!(memory_mib("", "MemTotal:"), 0);
    }

    #[test]
    fn a_missing_kvm_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let missing = kvm(&folder.path().join("kvm"), Some(Arch::X86_64));
        assert!(missing.obstacle().unwrap().contains("there is no "), "{missing:?}");
        assert!(missing.fix().unwrap().contains("modprobe -a kvm_intel"), "{missing:?}");
    }
}
