//! Windows: WHPX is a feature of the system that QEMU finds at run time; the desktop is always there.

use super::{Accelerator, Availability, HostFacts, Os, Session};
use std::path::Path;

pub fn probe() -> HostFacts {
    let system = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let whpx = Path::new(&system).join("System32").join("WinHvPlatform.dll");
    HostFacts {
        os: Os::Windows,
        accelerator: Accelerator::Whpx,
        acceleration: if whpx.exists() {
            Availability::Available
        } else {
            Availability::unavailable(
                "the Windows Hypervisor Platform is off (switch it on under \"Turn Windows features on or off\")",
            )
        },
        session: Session::Native,
        gl: Availability::Available,
        vsock: Availability::unavailable("QEMU on Windows has no vsock"),
        keyboard: None,
        memory_mib: 0,
        gpus: Vec::new(),
    }
}
