//! Linux: /dev, /proc, /sys, the X server.

use super::pci::PciFacts;
use super::{Availability, GpuPack, HostFacts, arch, fingerprint, keyboard};
use crate::model::{Accelerator, Arch, Enforcement, Os, ServiceManager, Session, Window};
use crate::sys::{Dirs, landlock, namespaces};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub fn probe() -> HostFacts {
    let session = session();
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let meminfo = read("/proc/meminfo");
    let (jail, jail_enforcement) = jail(landlock::abi(), namespaces::are_allowed);
    HostFacts {
        os: Os::Linux,
        arch: arch(),
        machine: fingerprint(&[&read("/etc/machine-id"), &read("/proc/sys/kernel/osrelease")]),
        accelerator: Accelerator::Kvm,
        acceleration: kvm(Path::new("/dev/kvm"), arch()),
        keyboard: keyboard::find(&session),
        session,
        windows: vec![(Window::Gtk, Availability::Available), (Window::Sdl, Availability::Available)],
        gl: Availability::Available,
        vsock: vsock(Path::new("/dev/vhost-vsock")),
        jail,
        jail_enforcement,
        service_manager: service_manager(Path::new("/run")),
        gl_in_strict_jail: Availability::Available,
        checkpoint: Availability::Available,
        timezone: super::timezone::timezone(),
        memory_mib: memory_mib(&meminfo, "MemTotal:"),
        available_mib: memory_mib(&meminfo, "MemAvailable:"),
        pci: PciFacts::default(),
        gpu_pack: gpu_pack(),
    }
}

/// The one that is running (sd_booted(3)). The user's has a socket for its bus.
fn service_manager(run: &Path) -> Option<ServiceManager> {
    let user = nix::unistd::geteuid();
    let bus = run.join(format!("user/{user}/bus"));
    match run.join("systemd/system").is_dir() {
        true if user.is_root() => Some(ServiceManager::System),
        true if bus.exists() => Some(ServiceManager::User),
        _ => None,
    }
}

/// Without a home folder a launch fails later.
fn gpu_pack() -> GpuPack {
    let folder = Dirs::find().map(|dirs| dirs.gpu_pack_path()).unwrap_or_default();
    GpuPack { is_there: folder.is_dir(), folder }
}

fn kvm(node: &Path, arch: Option<Arch>) -> Availability {
    let missing = match arch {
        Some(Arch::Aarch64) => {
            "start Linux at EL2 in the firmware (see `dmesg | grep -i kvm`), or use a machine that is not a VM"
        }
        _ => "enable virtualization (VT-x, AMD-V) in the firmware, then: sudo modprobe -a kvm_intel kvm_amd",
    };
    match File::options().read(true).write(true).open(node) {
        Ok(_) => Availability::Available,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Availability::unavailable_with_fix(format!("{} does not exist", node.display()), missing)
        }
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Availability::unavailable_with_fix(
            format!("no permission for {}", node.display()),
            permission_fix(node),
        ),
        Err(e) => Availability::unavailable(format!("can't open {}: {e}", node.display())),
    }
}

/// Adds the user to the group of the node, or if it has none, a rule for udev(7).
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

/// The node may exist without a driver, so it is opened.
fn vsock(node: &Path) -> Availability {
    match File::options().read(true).write(true).open(node) {
        Ok(_) => Availability::Available,
        Err(e) => Availability::unavailable_with_fix(
            format!("can't open {}: {e}", node.display()),
            format!("sudo modprobe vhost_vsock, and give your group access to {}", node.display()),
        ),
    }
}

/// `abi`: the version of Landlock in this kernel.
/// Namespaces are tried only where there is no Landlock, which closes more.
fn jail(abi: io::Result<u32>, namespaces_are_allowed: impl FnOnce() -> bool) -> (Availability, Enforcement) {
    let available = match abi {
        Ok(_) => return (Availability::Available, Enforcement::Landlock),
        Err(_) if namespaces_are_allowed() => return (Availability::Available, Enforcement::Namespaces),
        Err(e) if e.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Availability::unavailable_with_fix(
            "Landlock is disabled in this kernel, and user namespaces are not allowed",
            "add landlock to the list in lsm= of the kernel command line (see /sys/kernel/security/lsm)",
        ),
        Err(_) => Availability::unavailable_with_fix(
            "this kernel has no Landlock (Linux 5.13 and later have), and user namespaces are not allowed",
            "allow them: sudo sysctl user.max_user_namespaces=10000 (and on Debian kernel.unprivileged_userns_clone=1)",
        ),
    };
    (available, Enforcement::Landlock)
}

fn session() -> Session {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("WAYLAND_DISPLAY"), set("DISPLAY")) {
        (Some(socket), _) => Session::Wayland(socket),
        (None, Some(display)) => Session::X11(display),
        (None, None) => Session::None { because: "neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned() },
    }
}

/// `MemTotal:  24512345 kB` of proc_meminfo(5).
fn memory_mib(meminfo: &str, row: &str) -> Option<u64> {
    let kib = |line: &str| line.strip_prefix(row)?.split_whitespace().next()?.parse::<u64>().ok();
    meminfo.lines().find_map(kib).map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_row_of_meminfo_and_none_is_not_zero() {
        let meminfo = "MemTotal:       24608716 kB\nMemFree: 1 kB\nMemAvailable: 512 kB\n";
        assert_eq!(memory_mib(meminfo, "MemTotal:"), Some(24031));
        assert_eq!(memory_mib(meminfo, "MemAvailable:"), Some(0));
        assert_eq!(memory_mib("", "MemTotal:"), None);
    }

    #[test]
    fn systemd_is_asked_if_it_runs_and_the_user_can_reach_it() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(service_manager(run.path()), None);
        fs::create_dir_all(run.path().join("systemd/system")).unwrap();
        let user = nix::unistd::geteuid();
        if user.is_root() {
            assert_eq!(service_manager(run.path()), Some(ServiceManager::System));
            return;
        }
        assert_eq!(service_manager(run.path()), None);
        fs::create_dir_all(run.path().join(format!("user/{user}/bus"))).unwrap();
        assert_eq!(service_manager(run.path()), Some(ServiceManager::User));
    }

    #[test]
    fn without_landlock_the_jail_is_made_of_namespaces_where_they_are_allowed() {
        let error = |number| Err(io::Error::from_raw_os_error(number));
        let found = |abi, allowed| jail(abi, || allowed);
        assert_eq!(found(Ok(1), false), (Availability::Available, Enforcement::Landlock));
        for number in [nix::libc::ENOSYS, nix::libc::EOPNOTSUPP] {
            assert_eq!(found(error(number), true), (Availability::Available, Enforcement::Namespaces));
            let (availability, _) = found(error(number), false);
            assert!(availability.obstacle().unwrap().contains("namespaces"), "{availability:?}");
            assert!(availability.fix().is_some(), "{availability:?}");
        }
    }

    #[test]
    fn a_missing_kvm_has_a_fix() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("kvm");
        let missing = kvm(&node, Some(Arch::X86_64));
        assert!(missing.obstacle().unwrap().contains(node.to_str().unwrap()), "{missing:?}");
        assert!(missing.fix().unwrap().contains("modprobe -a kvm_intel"), "{missing:?}");
    }
}

#[cfg(test)]
#[path = "linux_texts.rs"]
mod texts;
