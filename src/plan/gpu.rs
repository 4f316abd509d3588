//! Which physical GPU the VM gets, if any, and how.

use super::{Choice, PlanError, refused};
use crate::config::{Config, GpuChoice, Input, PackChoice, RomChoice, Setting, Source, UsbAddress};
use crate::host::{HostFacts, Os};
use crate::units::PciAddress;
use crate::vfio::{Function, Handover, Memlock, Node, Obstacle, UsbDevice, examine, locked_bytes};
use std::fmt;
use std::path::PathBuf;

/// A physical GPU for the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    pub handover: Handover,
    pub backend: Choice<Backend>,
    pub rom: RomChoice,
    /// Answer at the legacy VGA addresses.
    pub x_vga: bool,
    /// What of the host's keyboards and mice goes with it.
    pub inputs: Vec<Input>,
    /// The folder with its drivers, where there is one.
    pub pack: Choice<Option<PathBuf>>,
    /// How much QEMU locks.
    pub locked: u64,
}

/// The kernel's interface that QEMU maps the VM's memory with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Iommufd,
    /// VFIO's containers and groups.
    Type1,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iommufd => "iommufd",
            Self::Type1 => "type1",
        })
    }
}

/// None where none is wanted.
pub fn passthrough(facts: &HostFacts, config: &Config) -> Result<Option<Choice<Passthrough>>, PlanError> {
    let setting = &config.gpu;
    let refuse = |because: &str, hint: &str| refused("GPU passthrough", setting, because, hint);
    let gpu = match setting.value {
        GpuChoice::None if config.input.value.0.is_empty() => return Ok(None),
        GpuChoice::None => {
            let because =
                "only a VM with a passed GPU takes them; any other gets its keys through its window";
            return Err(refused(
                "a keyboard or mouse of the host",
                &config.input,
                because,
                "add --gpu, or drop it",
            ));
        }
        _ if facts.os != Os::Linux => {
            return Err(refuse(
                "passthrough needs Linux (VFIO)",
                "drop --gpu: the window then uses what this system offers",
            ));
        }
        GpuChoice::Address(address) => {
            facts.pci.gpus().find(|gpu| gpu.address == address).ok_or_else(|| {
                refuse(&format!("there is no GPU at {address}"), &format!("take one of {}", list(facts)))
            })?
        }
        GpuChoice::Auto => only_eligible(facts, setting)?,
    };
    let verdict = examine(&facts.pci, gpu);
    let locked = locked_bytes(config.memory.value);
    let memlock = match facts.pci.memlock {
        Memlock::Bytes(limit) if limit < locked => Some(Obstacle::Memlock { needed: locked, limit }),
        _ => None,
    };
    if let Some(obstacle) = verdict.refusal(false).or(memlock.as_ref()) {
        return Err(refuse(&format!("{}: {obstacle}", gpu.address), &obstacle.fix()));
    }
    let pack = pack(facts, config);
    check_usb_devices(facts, config, &pack)?;
    let handover = verdict.handover.expect("without it there is an obstacle");
    let passed = Passthrough {
        backend: backend(facts, &handover.card),
        handover,
        rom: config.gpu_rom.value.clone(),
        x_vga: config.gpu_x_vga.value,
        inputs: config.input.value.0.clone(),
        pack,
        locked,
    };
    Ok(Some(Choice::said(passed, setting)))
}

/// What makes a GPU pack.
pub const MAKE_PACK: &str = "in VirtualGhost's source: make gpu-pack";

fn pack(facts: &HostFacts, config: &Config) -> Choice<Option<PathBuf>> {
    let setting = &config.gpu_pack;
    match (&setting.value, &facts.gpu_pack) {
        (PackChoice::None, _) => Choice::said(None, setting),
        (PackChoice::File(folder), _) => Choice::said(Some(folder.clone()), setting),
        (PackChoice::Auto, pack) if pack.is_there => Choice::new(Some(pack.folder.clone()), "it is there"),
        (PackChoice::Auto, pack) => {
            Choice::new(None, format!("there is no GPU pack at {}", pack.folder.display()))
        }
    }
}

/// Each that is wanted is there, and its node opens.
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
            let because = format!("only a GPU pack's kernel has drivers for USB: {}", pack.because);
            return refuse(&because, &format!("{MAKE_PACK}; or give the device's file in /dev/input/by-id"));
        }
        match facts.pci.usb.iter().find(|device| is_at(device, address)) {
            None => return refuse("it is not plugged in", "see what is: lsusb, and for ports: lsusb -t"),
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

/// What lets whoever sits at the machine open it (udev(7), sd-login(3)).
fn usb_rule(UsbDevice { name, vendor, product, .. }: &UsbDevice) -> String {
    format!(
        "echo 'SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{vendor:04x}\", ATTR{{idProduct}}==\"{product:04x}\", \
         TAG+=\"uaccess\"' | sudo tee /etc/udev/rules.d/70-virtualghost-{vendor:04x}-{product:04x}.rules && \
         sudo udevadm control --reload && sudo udevadm trigger /sys/bus/usb/devices/{name}"
    )
}

/// Before the GPU is bound nobody knows whether its node will open; the launch plans anew once it is.
fn backend(facts: &HostFacts, card: &[PciAddress]) -> Choice<Backend> {
    let parts = card.iter().filter_map(|&address| facts.pci.function(address));
    let closed = |function: &Function| function.is_bound() && function.cdev != Some(Node::Usable);
    if !facts.pci.iommufd {
        Choice::new(Backend::Type1, "/dev/iommu does not open")
    } else if parts.into_iter().any(closed) {
        Choice::new(Backend::Type1, "/dev/vfio/devices has no node for it that opens")
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
            "learn what each lacks: virtualghost gpu list",
        )),
        _ => Err(refused(
            "GPU passthrough",
            setting,
            &format!("several GPUs are eligible: {}", titles(&eligible)),
            "say which: --gpu ADDRESS",
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
