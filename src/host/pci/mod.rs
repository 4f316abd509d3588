//! Facts about the PCI bus from sysfs, /proc and /dev, as plain data.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "unsupported.rs")]
mod os;
mod parse;
#[cfg(target_os = "linux")]
pub mod sysfs;

#[cfg(target_os = "linux")]
pub use os::privilege;
pub use os::probe;
pub use parse::{Mount, bars, mounts, pci_name};

use crate::model::VFIO_PCI;
use crate::model::units::PciAddress;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PciFacts {
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
    /// The host's USB devices, which can be passed to a VM with a GPU.
    pub usb: Vec<UsbDevice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDevice {
    /// Bus and ports, as the kernel writes them: `1-2.4`.
    pub name: String,
    pub vendor: u16,
    pub product: u16,
    /// Below /dev/bus/usb: `001/004`.
    pub node: String,
    pub access: Node,
}

impl PciFacts {
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
    /// From pci.ids, only for GPUs.
    pub name: Option<String>,
    pub driver: Option<String>,
    /// The only driver that may bind to it, if one is set.
    pub driver_override: Option<String>,
    /// None if the IOMMU is off.
    pub group: Option<u32>,
    /// The firmware used it as the screen at boot.
    pub boot_vga: bool,
    /// Sizes in bytes.
    pub bars: Vec<u64>,
    /// How the kernel can reset it, in the order in which it tries.
    pub reset_methods: Vec<String>,
    /// The physical function of a virtual function (SR-IOV).
    pub physical_function: Option<PciAddress>,
    /// How many virtual functions it has now.
    pub virtual_functions: u32,
    /// How the host uses it.
    pub uses: Vec<Use>,
    /// Its /dev/vfio/devices/vfioN, if it is bound to vfio-pci and the kernel supports these nodes.
    pub cdev: Option<Node>,
}

impl Function {
    pub fn is_bound(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_PCI)
    }

    /// `NVIDIA GA102 [GeForce RTX 3080]`, or the ids of a device without a name.
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

    /// Host, PCI and ISA bridges, which are never passed to a VM.
    pub fn is_bridge(self) -> bool {
        self.0 >> 16 == 0x06
    }

    pub fn is_audio(self) -> bool {
        matches!(self.0 >> 8, 0x0401 | 0x0403)
    }

    /// Other functions of a graphics card: audio for its connectors, and for USB-C an xHCI controller and a UCSI one (class
    /// "serial bus controller, other").
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

/// A use of a device by the host.
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
    /// A connector with an active screen.
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
            Self::Screen { connector } => write!(f, "a screen on {connector} is on"),
        }
    }
}

/// Whether this user can open a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Usable,
    Denied,
}

/// Decides which kernel parameter enables the IOMMU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cpu {
    Intel,
    Amd,
    #[default]
    Other,
}

/// How much memory this process may lock at most (the hard limit of RLIMIT_MEMLOCK, setrlimit(2)). VFIO pins the guest's
/// memory, which counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Memlock {
    /// No limit, also with CAP_IPC_LOCK.
    #[default]
    Unlimited,
    Bytes(u64),
}

/// How this process could write to sysfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Privilege {
    Root,
    /// sudo is installed.
    Sudo,
    #[default]
    None,
}
