//! What depends on the guest's architecture: the machine, its processor and its devices.

use super::Switch;
use crate::model::{Accelerator, Arch, VmSpec};

/// The machine without devices that a terminal never uses, which firmware and kernel would probe.
pub fn machine(arch: Arch) -> Switch {
    match arch {
        Arch::X86_64 => ["sata", "smbus", "hpet", "vmport", "i8042", "dump-guest-core"]
            .iter()
            .fold(Switch::of("-machine", "q35"), |machine, part| machine.set(part, "off")),
        // Without firmware the kernel uses the device tree only, where the power button is a GPIO key.
        Arch::Aarch64 => Switch::of("-machine", "virt")
            .set("gic-version", "max")
            .set("acpi", "off")
            .set("dump-guest-core", "off"),
    }
}

pub fn cpu(spec: &VmSpec) -> Switch {
    match (spec.accelerator.value, spec.arch) {
        (Accelerator::Kvm | Accelerator::Hvf, _) => Switch::of("-cpu", "host"),
        // A cheap function for pointer authentication: with the architected one TCG would compute ciphers all the time.
        (Accelerator::Tcg, Arch::Aarch64) => Switch::of("-cpu", "max").set("pauth-impdef", "on"),
        (Accelerator::Whpx, _) => Switch::of("-cpu", WHPX_CPU),
        (Accelerator::Tcg, _) => Switch::of("-cpu", "max"),
    }
}

/// On many processors WHPX stops at the first instruction of a `host` or `max` vCPU (exit code 4). This model has the
/// instructions that speed up Mesa's software rendering most, and every processor that runs WHPX has them.
const WHPX_CPU: &str = "Westmere";

/// Devices for information between guest and host. virt has no vmgenid.
pub fn devices(arch: Arch) -> Vec<Switch> {
    let panic = Switch::of("-device", "pvpanic-pci");
    match arch {
        Arch::X86_64 => vec![Switch::of("-device", "vmgenid").set("guid", "auto"), panic],
        Arch::Aarch64 => vec![panic],
    }
}

/// The kernel's name for the serial port.
pub fn console(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "ttyS0",
        Arch::Aarch64 => "ttyAMA0",
    }
}

/// Additional kernel parameters for this architecture.
pub fn kernel_parameters(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &[
            // There is one serial port; probing for three more is slow.
            "8250.nr_uarts=1",
            // QEMU's timer is correct. On a busy host it is late, and the kernel's check would panic.
            "no_timer_check",
        ],
        Arch::Aarch64 => &[],
    }
}
