//! Windows: WHPX is a feature of the system that QEMU finds at run time; the desktop is always there.

use super::{Accelerator, Availability, HostFacts, Os, Session, Window, arch, fingerprint};
use std::path::Path;
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};

pub fn probe() -> HostFacts {
    let system = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let whpx = Path::new(&system).join("System32").join("WinHvPlatform.dll");
    let [memory_mib, available_mib] = memory_mib();
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
        memory_mib,
        available_mib,
        pci: crate::vfio::Facts::default(),
        gpu_pack: super::GpuPack::default(),
    }
}

/// All, and what can be had now.
fn memory_mib() -> [u64; 2] {
    // SAFETY: all zeros are a valid one; it tells its own size, and is only written to.
    let status = unsafe {
        let mut status: MEMORYSTATUSEX = std::mem::zeroed();
        status.dwLength = size_of_val(&status) as u32;
        GlobalMemoryStatusEx(&raw mut status);
        status
    };
    [status.ullTotalPhys, status.ullAvailPhys].map(|bytes| bytes >> 20)
}
