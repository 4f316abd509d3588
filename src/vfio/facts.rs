//! What sysfs, /proc and /dev tell of the PCI bus, as plain data.

use super::VFIO_PCI;
use crate::units::PciAddress;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every function on the bus, by address.
    pub functions: Vec<Function>,
    pub cpu: Cpu,
    /// vfio-pci is loaded or built in.
    pub vfio_pci: bool,
    /// /dev/iommu opens for this user.
    pub iommufd: bool,
    /// /dev/vfio/N of each IOMMU group that has one.
    pub groups: BTreeMap<u32, Node>,
    pub memlock: Memlock,
    pub privilege: Privilege,
    /// The host's USB devices, which a VM with a GPU may get too.
    pub usb: Vec<UsbDevice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDevice {
    /// Bus and ports, as the kernel has it: `1-2.4`.
    pub name: String,
    pub vendor: u16,
    pub product: u16,
    /// Below /dev/bus/usb: `001/004`.
    pub node: String,
    pub access: Node,
}

impl Facts {
    pub fn function(&self, address: PciAddress) -> Option<&Function> {
        self.functions.iter().find(|function| function.address == address)
    }

    pub fn gpus(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter().filter(|function| function.class.is_display())
    }

    pub fn group(&self, number: u32) -> impl Iterator<Item = &Function> {
        self.functions.iter().filter(move |function| function.group == Some(number))
    }
}

/// One function of a PCI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub address: PciAddress,
    pub class: Class,
    pub vendor: u16,
    pub device: u16,
    /// By pci.ids, of GPUs.
    pub name: Option<String>,
    pub driver: Option<String>,
    /// The one driver that may bind to it, if somebody said so.
    pub driver_override: Option<String>,
    /// None where the IOMMU is off.
    pub group: Option<u32>,
    /// The firmware showed the boot on it.
    pub boot_vga: bool,
    /// Sizes in bytes.
    pub bars: Vec<u64>,
    /// How the kernel can reset it, the first being tried first.
    pub reset_methods: Vec<String>,
    /// Of a virtual function (SR-IOV): whose it is.
    pub physical_function: Option<PciAddress>,
    /// How many virtual functions it has now.
    pub virtual_functions: u32,
    /// What the host does with it.
    pub uses: Vec<Use>,
    /// Its /dev/vfio/devices/vfioN, while it is bound to vfio-pci and the kernel has them.
    pub cdev: Option<Node>,
}

impl Function {
    pub fn is_bound(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_PCI)
    }

    /// `NVIDIA GA102 [GeForce RTX 3080]`, or the ids of a device that has no name here.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} {:04x}:{:04x}", self.class, self.vendor, self.device))
    }

    pub fn is_in_slot_of(&self, other: PciAddress) -> bool {
        let PciAddress { domain, bus, device, .. } = self.address;
        (domain, bus, device) == (other.domain, other.bus, other.device)
    }
}

/// Class, subclass and programming interface (PCI Code and ID Assignment Specification; the ids are in pci.ids).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub u32);

impl Class {
    pub fn is_display(self) -> bool {
        self.0 >> 16 == 0x03
    }

    /// Host, PCI and ISA bridges: none is handed over.
    pub fn is_bridge(self) -> bool {
        self.0 >> 16 == 0x06
    }

    pub fn is_audio(self) -> bool {
        matches!(self.0 >> 8, 0x0401 | 0x0403)
    }

    /// What a graphics card carries beside its GPU: audio for its connectors, and for USB-C an xHCI controller and
    /// a UCSI one (class "serial bus controller, other").
    pub fn is_part_of_card(self) -> bool {
        self.is_display() || self.is_audio() || matches!(self.0 >> 8, 0x0c03 | 0x0c80)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 >> 8 {
            0x0106 => "SATA controller",
            0x0108 => "NVMe controller",
            0x0401 | 0x0403 => "audio device",
            0x0c03 => "USB controller",
            0x0c80 => "USB-C controller",
            0x1080 => "encryption controller",
            _ => match self.0 >> 16 {
                0x01 => "storage controller",
                0x02 => "network controller",
                0x03 => "display controller",
                0x06 => "bridge",
                _ => return write!(f, "device of class {:04x}", self.0 >> 8),
            },
        })
    }
}

/// What would be torn away from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    Mount {
        disk: String,
        at: String,
    },
    Swap {
        disk: String,
    },
    /// LVM, RAID, encryption.
    Holder {
        disk: String,
        by: String,
    },
    Interface {
        name: String,
    },
    /// A connector that shows a picture.
    Screen {
        connector: String,
    },
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount { disk, at } => write!(f, "{disk} is mounted at {at}"),
            Self::Swap { disk } => write!(f, "{disk} is swap space"),
            Self::Holder { disk, by } => write!(f, "{disk} is part of {by}"),
            Self::Interface { name } => write!(f, "the interface {name} is up"),
            Self::Screen { connector } => write!(f, "a screen on {connector} is lit"),
        }
    }
}

/// A device node, as this user finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Usable,
    Denied,
}

/// Decides which kernel parameter switches the IOMMU on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cpu {
    Intel,
    Amd,
    #[default]
    Other,
}

/// How much this process may lock, as far as it may raise it (RLIMIT_MEMLOCK, setrlimit(2)). VFIO pins the guest's
/// memory and counts it here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Memlock {
    /// Or the process has CAP_IPC_LOCK.
    #[default]
    Unlimited,
    Bytes(u64),
}

/// How this process could write to sysfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Privilege {
    Root,
    /// There is a sudo to ask.
    Sudo,
    #[default]
    None,
}
