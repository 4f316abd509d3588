//! Windows: WHPX is a feature of the system that QEMU finds at run time; the desktop is always there.

use super::pci::PciFacts;
use super::{Availability, HostFacts, arch, fingerprint};
use crate::model::{Accelerator, Enforcement, Os, Session, Window};
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
            Availability::unavailable_with_fix(
                "the Windows Hypervisor Platform is off",
                "as administrator: dism /online /enable-feature /featurename:HypervisorPlatform, then restart",
            )
        },
        session: Session::Native,
        windows: vec![(Window::Sdl, Availability::Available), (Window::Gtk, Availability::Available)],
        gl: Availability::Available,
        vsock: Availability::unavailable("QEMU on Windows has no vsock"),
        jail: Availability::unavailable("only Linux has Landlock, which confines QEMU"),
        jail_enforcement: Enforcement::Landlock,
        service_manager: None,
        gl_in_strict_jail: Availability::Available,
        checkpoint: Availability::unavailable(
            "instant start needs a channel from host to guest, which is not available on Windows",
        ),
        keyboard: None,
        timezone: super::timezone::timezone(),
        memory_mib,
        available_mib,
        pci: PciFacts::default(),
        gpu_pack: super::GpuPack::default(),
    }
}

/// In total, and available now.
fn memory_mib() -> [Option<u64>; 2] {
    let size = u32::try_from(size_of::<MEMORYSTATUSEX>()).expect("it is some dozens of bytes");
    let mut status = MEMORYSTATUSEX { dwLength: size, ..Default::default() };
    // SAFETY: the structure has its length in its first field, and lives during the call.
    let is_known = unsafe { GlobalMemoryStatusEx(&raw mut status) } != 0;
    [status.ullTotalPhys, status.ullAvailPhys].map(|bytes| is_known.then_some(bytes >> 20))
}
