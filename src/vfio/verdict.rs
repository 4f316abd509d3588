//! Whether a GPU can be handed over: every obstacle with its reason and what to do about it. Pure.

use super::{Cpu, Device, Facts, Function, Handover, Node, Privilege, Use};
use crate::units::{MiB, PciAddress};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    IommuOff {
        cpu: Cpu,
    },
    NoDriver,
    VirtualFunctions {
        of: PciAddress,
        count: u32,
    },
    InUse {
        address: PciAddress,
        what: Use,
    },
    /// VFIO takes no group in which a bridge has a driver that does DMA.
    Bridge {
        address: PciAddress,
        driver: String,
    },
    Display {
        gpu: PciAddress,
        because: String,
    },
    Shared {
        gpu: PciAddress,
        group: u32,
        with: Vec<(PciAddress, String)>,
    },
    NoPermission {
        node: String,
    },
    NotRoot {
        gpu: PciAddress,
    },
    Memlock {
        needed: u64,
        limit: u64,
    },
}

impl Obstacle {
    /// Whether `--force` goes over it. What tears something in use from the host is not forced.
    pub fn yields_to_force(&self) -> bool {
        matches!(self, Self::Display { .. } | Self::Shared { .. })
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        let force = |gpu| format!("sudo virtualghost gpu bind {gpu} --force");
        match self {
            Self::IommuOff { cpu: Cpu::Intel } => {
                "switch VT-d on in the firmware, boot with intel_iommu=on on the kernel's command line"
                    .to_owned()
            }
            // There is no amd_iommu=on: it is on unless switched off (kernel documentation, kernel-parameters).
            Self::IommuOff { cpu: Cpu::Amd } => {
                "switch the IOMMU (AMD-Vi) on in the firmware, and take amd_iommu=off \
                and iommu=off from the kernel's command line"
                    .to_owned()
            }
            Self::IommuOff { cpu: Cpu::Other } => {
                "switch the IOMMU on in the firmware and on the kernel's command line".to_owned()
            }
            Self::NoDriver => "sudo modprobe vfio-pci".to_owned(),
            Self::VirtualFunctions { of, .. } => {
                format!(
                    "take one of them, or end them: echo 0 | sudo tee /sys/bus/pci/devices/{of}/sriov_numvfs"
                )
            }
            Self::InUse { what, .. } => match what {
                Use::Mount { at, .. } if at == "/" => "put the card into another slot".to_owned(),
                Use::Mount { at, .. } => format!("sudo umount {at}"),
                Use::Swap { disk } => format!("sudo swapoff {disk}"),
                Use::Holder { by, .. } => format!("stop {by} first"),
                Use::Interface { name } => format!("sudo ip link set {name} down"),
                Use::Screen { .. } => "unplug the screen".to_owned(),
            },
            Self::Bridge { address, driver } => {
                format!("echo {address} | sudo tee /sys/bus/pci/drivers/{driver}/unbind")
            }
            Self::Display { gpu, .. } => {
                format!("let another GPU drive the host's screen; if you can do without one: {}", force(gpu))
            }
            Self::Shared { gpu, .. } => {
                format!("put the card into another slot; if the host can do without them all: {}", force(gpu))
            }
            Self::NoPermission { .. } => "sudo virtualghost gpu bind gives it to you; for good: a udev rule \
                SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\" in /etc/udev/rules.d/80-vfio.rules, and in \
                /etc/security/limits.d/vfio.conf the line `@kvm - memlock unlimited`"
                .to_owned(),
            Self::NotRoot { gpu } => format!("as root: virtualghost gpu bind {gpu}"),
            Self::Memlock { needed, .. } => format!(
                "take less with --memory, or put `YOUR-NAME - memlock {}` into /etc/security/limits.d/vfio.conf and \
                 log in again",
                needed >> 10
            ),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IommuOff { .. } => f.write_str("it is in no IOMMU group: the IOMMU is off"),
            Self::NoDriver => f.write_str("the kernel's vfio-pci driver is not loaded"),
            Self::VirtualFunctions { of, count } => write!(f, "{of} has {count} virtual functions"),
            Self::InUse { address, what } => write!(f, "{address} is in use: {what}"),
            Self::Bridge { address, driver } => {
                write!(f, "the bridge {address} in its group is bound to {driver}, which VFIO does not allow")
            }
            Self::Display { because, .. } => write!(f, "it drives the host's display: {because}"),
            Self::Shared { group, with, .. } => {
                let others: Vec<_> =
                    with.iter().map(|(address, what)| format!("{address} ({what})")).collect();
                write!(f, "its IOMMU group {group} is shared with {}", others.join(", "))
            }
            Self::NoPermission { node } => write!(f, "no permission for {node}"),
            Self::NotRoot { .. } => f.write_str(
                "binding it to vfio-pci takes root, and there is no sudo to ask for that one step",
            ),
            Self::Memlock { needed, limit } => write!(
                f,
                "VFIO locks the VM's memory, {} MiB with its firmware, and this user may lock {} MiB",
                needed >> 20,
                limit >> 20
            ),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub obstacles: Vec<Obstacle>,
    /// None where the IOMMU is off.
    pub handover: Option<Handover>,
}

impl Verdict {
    /// The first obstacle that stands, with `force` or without.
    pub fn refusal(&self, force: bool) -> Option<&Obstacle> {
        self.obstacles.iter().find(|obstacle| !(force && obstacle.yields_to_force()))
    }
}

/// What a VM of this size locks. QEMU maps its ROMs, tables and shadow copies for the device too.
pub fn locked_bytes(memory: MiB) -> u64 {
    const BESIDE_RAM: u64 = 64 << 20;
    memory.bytes() + BESIDE_RAM
}

/// Of a GPU of these facts.
pub fn examine(facts: &Facts, gpu: &Function) -> Verdict {
    if gpu.group.is_none() {
        return Verdict { obstacles: vec![Obstacle::IommuOff { cpu: facts.cpu }], handover: None };
    }
    let card = card(facts, gpu);
    let groups: BTreeSet<u32> = card.iter().filter_map(|function| function.group).collect();
    let members: Vec<_> = groups.iter().flat_map(|&group| facts.group(group)).collect();
    let (bridges, endpoints): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|function| function.class.is_bridge());
    // VFIO is content with an endpoint that has no driver; what the VM gets has to have VFIO's.
    let is_on_card = |function: &Function| card.iter().any(|part| part.address == function.address);
    let mut changing: Vec<_> = endpoints
        .into_iter()
        .filter(|function| !function.is_bound() && (function.driver.is_some() || is_on_card(function)))
        .collect();
    changing.sort_by_key(|function| (function.address == gpu.address, Reverse(function.address)));

    let mut obstacles = Vec::new();
    if !facts.vfio_pci {
        obstacles.push(Obstacle::NoDriver);
    }
    for function in &changing {
        if function.virtual_functions > 0 {
            let (of, count) = (function.address, function.virtual_functions);
            obstacles.push(Obstacle::VirtualFunctions { of, count });
        }
        let uses = function.uses.iter().filter(|what| !matches!(what, Use::Screen { .. }));
        obstacles.extend(uses.map(|what| Obstacle::InUse { address: function.address, what: what.clone() }));
    }
    obstacles.extend(bridges.iter().filter_map(|bridge| bridge_obstacle(bridge)));
    for function in changing.iter().filter(|function| function.class.is_display()) {
        obstacles.extend(display_obstacle(gpu.address, function));
    }
    obstacles.extend(groups.iter().filter_map(|&group| {
        let foreign = changing.iter().filter(|f| f.group == Some(group) && !is_on_card(f));
        let with: Vec<_> = foreign.map(|f| (f.address, f.class.to_string())).collect();
        (!with.is_empty()).then_some(Obstacle::Shared { gpu: gpu.address, group, with })
    }));
    let denied = groups.iter().filter(|group| facts.groups.get(group) == Some(&Node::Denied));
    if changing.is_empty() {
        obstacles.extend(denied.map(|group| Obstacle::NoPermission { node: format!("/dev/vfio/{group}") }));
    } else if facts.privilege == Privilege::None {
        obstacles.push(Obstacle::NotRoot { gpu: gpu.address });
    }
    let handover = Handover {
        gpu: gpu.address,
        card: card.iter().map(|function| function.address).collect(),
        groups: groups.into_iter().collect(),
        devices: changing.into_iter().map(Device::of).collect(),
    };
    Verdict { obstacles, handover: Some(handover) }
}

/// The functions of the graphics card. Those of one slot belong together even where each has a group of its own, unless
/// something among them is no part of a card: then it is a processor's graphics beside the host's own USB and security
/// processor, and only audio that shares its group belongs to it. A virtual function is a device by itself.
fn card<'a>(facts: &'a Facts, gpu: &'a Function) -> Vec<&'a Function> {
    if gpu.physical_function.is_some() {
        return vec![gpu];
    }
    let slot = facts.functions.iter().filter(|f| f.is_in_slot_of(gpu.address) && !f.class.is_bridge());
    let slot: Vec<_> = slot.filter(|f| f.group.is_some() && f.physical_function.is_none()).collect();
    if slot.iter().all(|function| function.class.is_part_of_card()) {
        return slot;
    }
    let belongs = |f: &&Function| f.group == gpu.group && (f.address == gpu.address || f.class.is_audio());
    slot.into_iter().filter(belongs).collect()
}

/// pcieport and pci-stub leave the group to user space, as does no driver (driver_managed_dma in the kernel's sources).
fn bridge_obstacle(bridge: &Function) -> Option<Obstacle> {
    let driver = bridge.driver.as_deref()?;
    (!["pcieport", "pci-stub", super::VFIO_PCI].contains(&driver))
        .then(|| Obstacle::Bridge { address: bridge.address, driver: driver.to_owned() })
}

fn display_obstacle(gpu: PciAddress, function: &Function) -> Option<Obstacle> {
    let screen = function.uses.iter().find(|what| matches!(what, Use::Screen { .. }));
    let because = match (screen, function.boot_vga) {
        (Some(screen), _) => screen.to_string(),
        (None, true) => "the firmware showed the boot on it".to_owned(),
        (None, false) => return None,
    };
    Some(Obstacle::Display { gpu, because })
}
