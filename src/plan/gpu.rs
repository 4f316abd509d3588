//! Plans GPU passthrough: which physical GPU, if any, and how.

use super::{PlanError, explicit, refused};
use crate::config::{Config, GpuChoice, PackChoice, Setting};
use crate::host::HostFacts;
use crate::host::pci::{Function, Memlock, Node, UsbDevice};
use crate::model::units::PciAddress;
use crate::model::{Backend, Choice, Input, MAKE_PACK, Os, Passthrough, Source, UsbAddress};
use crate::vfio::{Obstacle, examine, locked_bytes};
use std::path::PathBuf;

/// None if the configuration has no GPU.
pub fn passthrough(facts: &HostFacts, config: &Config) -> Result<Option<Choice<Passthrough>>, PlanError> {
    let setting = &config.gpu;
    let refuse = |because: &str, hint: &str| refused("GPU passthrough", setting, because, hint);
    let gpu = match setting.value {
        GpuChoice::None if config.input.value.0.is_empty() => return Ok(None),
        GpuChoice::None => {
            let because = "it needs a passed GPU; other VMs use the keyboard of their window";
            let hint = "add --gpu, or remove the device";
            return Err(refused("a keyboard or mouse of the host", &config.input, because, hint));
        }
        _ if facts.os != Os::Linux => {
            return Err(refuse("it needs VFIO, which only Linux has", "use --gpu none"));
        }
        GpuChoice::Address(address) => {
            facts.pci.gpus().find(|gpu| gpu.address == address).ok_or_else(|| {
                let because = format!("there is no GPU at {address}; this machine has {}", list(facts));
                refuse(&because, "list GPUs: virtualghost gpu list")
            })?
        }
        GpuChoice::Auto => only_eligible(facts, setting)?,
    };
    let eligibility = examine(&facts.pci, gpu);
    let locked = locked_bytes(config.memory.value);
    let memlock = match facts.pci.memlock {
        Memlock::Bytes(limit) if limit < locked => Some(Obstacle::Memlock { needed: locked, limit }),
        _ => None,
    };
    if let Some(obstacle) = eligibility.refusal(false).or(memlock.as_ref()) {
        return Err(refuse(&format!("{}: {obstacle}", gpu.address), &obstacle.fix()));
    }
    let pack = pack(facts, config);
    check_usb_devices(facts, config, &pack)?;
    let bind_plan = eligibility.bind_plan.expect("an eligible GPU has a plan");
    let passed = Passthrough {
        backend: backend(facts, &bind_plan.card),
        bind_plan,
        rom: config.gpu_rom.value.clone(),
        x_vga: config.gpu_x_vga.value,
        inputs: config.input.value.0.clone(),
        pack,
        locked,
    };
    Ok(Some(explicit(passed, setting)))
}

fn pack(facts: &HostFacts, config: &Config) -> Choice<Option<PathBuf>> {
    let setting = &config.gpu_pack;
    match (&setting.value, &facts.gpu_pack) {
        (PackChoice::None, _) => explicit(None, setting),
        (PackChoice::File(folder), _) => explicit(Some(folder.clone()), setting),
        (PackChoice::Auto, pack) if pack.is_there => Choice::new(Some(pack.folder.clone()), "found"),
        (PackChoice::Auto, pack) => {
            Choice::new(None, format!("there is no GPU pack at {}", pack.folder.display()))
        }
    }
}

/// # Errors
/// A USB device of the configuration is not plugged in, this user has no permission for it, or the guest has no driver.
fn check_usb_devices(
    facts: &HostFacts,
    config: &Config,
    pack: &Choice<Option<PathBuf>>,
) -> Result<(), PlanError> {
    for input in &config.input.value.0 {
        let Input::Usb(address) = input else { continue };
        let refuse = |because: &str, hint: &str| {
            Err(refused(format!("the USB device {address}"), &config.input, because, hint))
        };
        if pack.value.is_none() && config.kernel.value == Source::Embedded {
            let because = format!("USB needs the kernel of a GPU pack: {}", pack.because);
            return refuse(&because, &format!("{MAKE_PACK}; or use the device's file in /dev/input/by-id"));
        }
        match facts.pci.usb.iter().find(|device| is_at(device, address)) {
            None => return refuse("it is not plugged in", "list devices: lsusb, and ports: lsusb -t"),
            Some(UsbDevice { access: Node::Usable, .. }) => {}
            Some(denied) => {
                return refuse(&format!("no permission for /dev/bus/usb/{}", denied.node), &usb_rule(denied));
            }
        }
    }
    Ok(())
}

fn is_at(device: &UsbDevice, address: &UsbAddress) -> bool {
    match address {
        UsbAddress::Ids { vendor, product } => (device.vendor, device.product) == (*vendor, *product),
        UsbAddress::Port { .. } => device.name == address.to_string(),
    }
}

/// The command that permits the user of the local session to open the device (udev(7), sd-login(3)).
fn usb_rule(UsbDevice { name, vendor, product, .. }: &UsbDevice) -> String {
    format!(
        "echo 'SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{vendor:04x}\", ATTR{{idProduct}}==\"{product:04x}\", \
         TAG+=\"uaccess\"' | sudo tee /etc/udev/rules.d/70-virtualghost-{vendor:04x}-{product:04x}.rules && \
         sudo udevadm control --reload && sudo udevadm trigger /sys/bus/usb/devices/{name}"
    )
}

/// Whether the node of a GPU opens is unknown until it is bound; the launch plans again after that.
fn backend(facts: &HostFacts, card: &[PciAddress]) -> Choice<Backend> {
    let parts = card.iter().filter_map(|&address| facts.pci.function(address));
    let closed = |function: &Function| function.is_bound() && function.cdev != Some(Node::Usable);
    if !facts.pci.iommufd {
        Choice::new(Backend::Type1, "/dev/iommu does not open")
    } else if parts.into_iter().any(closed) {
        Choice::new(Backend::Type1, "its node in /dev/vfio/devices does not open")
    } else {
        Choice::new(Backend::Iommufd, "/dev/iommu opens")
    }
}

fn only_eligible<'a>(facts: &'a HostFacts, setting: &Setting<GpuChoice>) -> Result<&'a Function, PlanError> {
    let eligible: Vec<_> =
        facts.pci.gpus().filter(|gpu| examine(&facts.pci, gpu).refusal(false).is_none()).collect();
    match eligible[..] {
        [gpu] => Ok(gpu),
        [] => Err(refused(
            "GPU passthrough",
            setting,
            &format!("no GPU is eligible; this machine has {}", list(facts)),
            "list the reasons: virtualghost gpu list",
        )),
        _ => Err(refused(
            "GPU passthrough",
            setting,
            &format!("several GPUs are eligible: {}", titles(&eligible)),
            "choose one: --gpu ADDRESS",
        )),
    }
}

fn list(facts: &HostFacts) -> String {
    match facts.pci.gpus().collect::<Vec<_>>() {
        gpus if gpus.is_empty() => "no GPU on the PCI bus".to_owned(),
        gpus => titles(&gpus),
    }
}

fn titles(gpus: &[&Function]) -> String {
    gpus.iter().map(|gpu| format!("{} ({})", gpu.address, gpu.title())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "gpu_tests.rs"]
mod tests;
