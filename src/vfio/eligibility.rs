//! Whether a GPU can be passed to a VM: every obstacle with its reason and fix. Pure.

use crate::host::pci::{Cpu, Function, Node, PciFacts, Privilege, Use};
use crate::model::units::{MemorySize, PciAddress};
use crate::model::{BindPlan, BoundDevice, VFIO_PCI};
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
    /// VFIO refuses a group in which a bridge has a driver that does DMA.
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
    /// Whether `--force` overrides it. A device that the host is using is never forced.
    pub fn yields_to_force(&self) -> bool {
        matches!(self, Self::Display { .. } | Self::Shared { .. })
    }

    /// The fix.
    pub fn fix(&self) -> String {
        let force = |gpu| format!("sudo virtualghost gpu bind {gpu} --force");
        match self {
            Self::IommuOff { cpu: Cpu::Intel } => {
                "enable VT-d in the firmware, and add intel_iommu=on to the kernel's command line".to_owned()
            }
            // There is no amd_iommu=on: it is on unless disabled (kernel documentation, kernel-parameters).
            Self::IommuOff { cpu: Cpu::Amd } => {
                "enable the IOMMU (AMD-Vi) in the firmware, and remove amd_iommu=off \
                and iommu=off from the kernel's command line"
                    .to_owned()
            }
            Self::IommuOff { cpu: Cpu::Other } => {
                "enable the IOMMU in the firmware and on the kernel's command line".to_owned()
            }
            Self::NoDriver => "sudo modprobe vfio-pci".to_owned(),
            Self::VirtualFunctions { of, .. } => {
                format!(
                    "pass one of them, or remove them: echo 0 | sudo tee /sys/bus/pci/devices/{of}/sriov_numvfs"
                )
            }
            Self::InUse { what, .. } => match what {
                Use::Mount { at, .. } if at == "/" => "move the card to another slot".to_owned(),
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
                format!("use another GPU for the host's screen; if you need none: {}", force(gpu))
            }
            Self::Shared { gpu, .. } => {
                format!(
                    "move the card to another slot; if the host needs none of these devices: {}",
                    force(gpu)
                )
            }
            Self::NoPermission { .. } => {
                "sudo virtualghost gpu bind makes you its owner; permanently: a udev rule \
                SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\" in /etc/udev/rules.d/80-vfio.rules, and in \
                /etc/security/limits.d/vfio.conf the line `@kvm - memlock unlimited`"
                    .to_owned()
            }
            Self::NotRoot { gpu } => format!("as root: virtualghost gpu bind {gpu}"),
            Self::Memlock { needed, .. } => format!(
                "use less with --memory, or put `YOUR-NAME - memlock {}` into /etc/security/limits.d/vfio.conf and \
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
            Self::NotRoot { .. } => {
                f.write_str("binding it to vfio-pci needs root, and sudo is not installed")
            }
            Self::Memlock { needed, limit } => write!(
                f,
                "VFIO locks the VM's memory ({} MiB with its firmware), but this user may lock only {} MiB",
                needed >> 20,
                limit >> 20
            ),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eligibility {
    pub obstacles: Vec<Obstacle>,
    /// None where the IOMMU is off.
    pub bind_plan: Option<BindPlan>,
}

impl Eligibility {
    /// The first obstacle that remains, with `force` or without.
    pub fn refusal(&self, force: bool) -> Option<&Obstacle> {
        self.obstacles.iter().find(|obstacle| !(force && obstacle.yields_to_force()))
    }
}

/// What a VM of this size locks. QEMU maps its ROMs, tables and shadow copies for the device too.
pub fn locked_bytes(memory: MemorySize) -> u64 {
    const BESIDE_RAM: u64 = 64 << 20;
    memory.bytes() + BESIDE_RAM
}

/// The eligibility of one of the GPUs in `facts`.
pub fn examine(facts: &PciFacts, gpu: &Function) -> Eligibility {
    if gpu.group.is_none() {
        return Eligibility { obstacles: vec![Obstacle::IommuOff { cpu: facts.cpu }], bind_plan: None };
    }
    let card = card(facts, gpu);
    let groups: BTreeSet<u32> = card.iter().filter_map(|function| function.group).collect();
    let members: Vec<_> = groups.iter().flat_map(|&group| facts.group(group)).collect();
    let (bridges, endpoints): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|function| function.class.is_bridge());
    // VFIO accepts other endpoints of the group without a driver; those for the VM need vfio-pci.
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
    let bind_plan = BindPlan {
        gpu: gpu.address,
        card: card.iter().map(|function| function.address).collect(),
        groups: groups.into_iter().collect(),
        devices: changing.into_iter().map(before_binding).collect(),
    };
    Eligibility { obstacles, bind_plan: Some(bind_plan) }
}

/// The functions of the graphics card. Those of one slot belong together even if each has its own group, unless one of them
/// is no part of a card: then the GPU is integrated in a processor beside the host's USB and security processor, and only
/// audio in the same group belongs to it. A virtual function is a device by itself.
fn card<'a>(facts: &'a PciFacts, gpu: &'a Function) -> Vec<&'a Function> {
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

/// pcieport, pci-stub or no driver leave the group to user space (driver_managed_dma in the kernel's sources).
fn before_binding(function: &Function) -> BoundDevice {
    BoundDevice {
        address: function.address,
        driver: function.driver.clone(),
        driver_override: function.driver_override.clone(),
    }
}

fn bridge_obstacle(bridge: &Function) -> Option<Obstacle> {
    let driver = bridge.driver.as_deref()?;
    (!["pcieport", "pci-stub", VFIO_PCI].contains(&driver))
        .then(|| Obstacle::Bridge { address: bridge.address, driver: driver.to_owned() })
}

fn display_obstacle(gpu: PciAddress, function: &Function) -> Option<Obstacle> {
    let screen = function.uses.iter().find(|what| matches!(what, Use::Screen { .. }));
    let because = match (screen, function.boot_vga) {
        (Some(screen), _) => screen.to_string(),
        (None, true) => "the firmware used it at boot".to_owned(),
        (None, false) => return None,
    };
    Some(Obstacle::Display { gpu, because })
}
