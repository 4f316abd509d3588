//! macOS: the Hypervisor framework and the desktop are part of the system.

use super::pci::PciFacts;
use super::{Availability, HostFacts, arch, fingerprint};
use crate::model::{Accelerator, Enforcement, Os, Session, Window};
use std::process::Command;

pub fn probe() -> HostFacts {
    HostFacts {
        os: Os::MacOs,
        arch: arch(),
        machine: fingerprint(
            &["kern.uuid", "kern.osversion"]
                .map(|name| sysctl(name).unwrap_or_default())
                .each_ref()
                .map(String::as_str),
        ),
        accelerator: Accelerator::Hvf,
        acceleration: match sysctl("kern.hv_support").as_deref() {
            Some("1") => Availability::Available,
            _ => Availability::unavailable("this Mac has no Hypervisor framework (kern.hv_support is not 1)"),
        },
        session: Session::Native,
        windows: vec![(Window::Cocoa, Availability::Available)],
        gl: Availability::unavailable("QEMU on macOS offers at most OpenGL 4.1, Ghostty needs 4.3"),
        vsock: Availability::unavailable("QEMU on macOS has no vsock"),
        jail: Availability::unavailable("only Linux has Landlock, which confines QEMU"),
        jail_enforcement: Enforcement::Landlock,
        service_manager: None,
        gl_in_strict_jail: Availability::Available,
        checkpoint: Availability::Available,
        keyboard: None,
        timezone: super::timezone::timezone(),
        memory_mib: sysctl("hw.memsize").and_then(|bytes| bytes.parse::<u64>().ok()).map(|b| b >> 20),
        available_mib: None,
        pci: PciFacts::default(),
        gpu_pack: super::GpuPack::default(),
    }
}

fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("/usr/sbin/sysctl").args(["-n", name]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
