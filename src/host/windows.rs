//! Windows: WHPX is a feature of the system that QEMU finds at run time; the desktop is always there.

use super::{Accelerator, Availability, HostFacts, Os, Session, Window, arch, fingerprint};
use std::path::Path;

pub fn probe() -> HostFacts {
    let system = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let whpx = Path::new(&system).join("System32").join("WinHvPlatform.dll");
    HostFacts {
        os: Os::Windows,
        arch: arch(),
        machine: fingerprint(&[&std::env::var("COMPUTERNAME").unwrap_or_default()]),
        accelerator: Accelerator::Whpx,
        acceleration: if whpx.exists() {
            Availability::Available
        } else {
            Availability::until(
                "the Windows Hypervisor Platform is off",
                "as administrator: dism /online /enable-feature /featurename:HypervisorPlatform, then restart",
            )
        },
        session: Session::Native,
        windows: vec![(Window::Sdl, Availability::Available), (Window::Gtk, Availability::Available)],
        gl: Availability::Available,
        vsock: Availability::unavailable("QEMU on Windows has no vsock"),
        checkpoint: Availability::unavailable(
            "on Windows nothing can be told to a guest that is to become one of its own",
        ),
        keyboard: None,
        memory_mib: 0,
        available_mib: 0,
        pci: crate::vfio::Facts::default(),
        gpu_pack: super::GpuPack::default(),
    }
}
