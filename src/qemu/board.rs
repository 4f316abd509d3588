//! What differs by the guest's architecture: the board, its processor and its devices.

use super::Switch;
use crate::arch::Arch;
use crate::host::Accelerator;
use crate::plan::VmSpec;

/// The board without what a terminal never uses: fewer devices for firmware and kernel to probe.
pub fn machine(arch: Arch) -> Switch {
    match arch {
        Arch::X86_64 => ["sata", "smbus", "hpet", "vmport", "i8042", "dump-guest-core"]
            .iter()
            .fold(Switch::of("-machine", "q35"), |machine, part| machine.set(part, "off")),
        // Without firmware the kernel reads the device tree alone; the power button is a GPIO key then.
        Arch::Aarch64 => Switch::of("-machine", "virt")
            .set("gic-version", "max")
            .set("acpi", "off")
            .set("dump-guest-core", "off"),
    }
}

pub fn cpu(spec: &VmSpec) -> Switch {
    match (spec.accelerator.value, spec.arch) {
        (Accelerator::Kvm | Accelerator::Hvf, _) => Switch::of("-cpu", "host"),
        // Signed pointers by a cheap function: with the architected one TCG would compute ciphers all the time.
        (Accelerator::Tcg, Arch::Aarch64) => Switch::of("-cpu", "max").set("pauth-impdef", "on"),
        (Accelerator::Whpx, _) => Switch::of("-cpu", WHPX_CPU),
        (Accelerator::Tcg, _) => Switch::of("-cpu", "max"),
    }
}

/// On many processors WHPX stops at the first instruction of a vCPU that is `host` or `max` (exit code 4). This model has
/// what Mesa's software rendering gains most by, and every processor that runs WHPX has it.
const WHPX_CPU: &str = "Westmere";

/// Devices that tell guest and host of each other. virt has no vmgenid.
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

/// What a kernel of this architecture is told besides.
pub fn kernel_parameters(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &[
            // There is one serial port; probing for three more takes time.
            "8250.nr_uarts=1",
            // The timer is QEMU's and wired rightly. On a host with much to do it is late, and the check then panics.
            "no_timer_check",
        ],
        Arch::Aarch64 => &[],
    }
}
