//! A fake /sys, /proc, /dev and /usr for tests, laid out as the kernel does it (kernel documentation, PCI/sysfs-pci and
//! ABI/testing/sysfs-bus-pci), and the kernel behind its files.

use super::super::transaction::{Failed, Writer};
use crate::host::pci::sysfs::{self, Process, Root};
use crate::host::pci::{PciFacts, Privilege};
use crate::model::SysfsWrite;
use crate::model::units::PciAddress;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

/// One function of a fake machine.
#[derive(Default, Clone, Copy)]
pub struct Dev {
    pub at: &'static str,
    /// The bridges above it, the root's first.
    pub below: &'static [&'static str],
    pub class: u32,
    pub ids: (u16, u16),
    pub driver: &'static str,
    pub group: Option<u32>,
    pub boot_vga: bool,
    pub bars: &'static [u64],
    pub reset: &'static str,
}

pub struct Tree {
    folder: TempDir,
    /// The driver that a probe finds.
    natural: BTreeMap<String, String>,
}

const IDS: &str = "1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t13c0  Granite Ridge [Radeon Graphics]\n\
    \t73bf  Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]\n8086  Intel Corporation\n\t56c0  ATS-M [Data Center GPU Flex 170]\n\
    \ta780  Raptor Lake-S GT1 [UHD Graphics 770]\n10de  NVIDIA Corporation\n\t1e87  TU104 [GeForce RTX 2080 Rev. A]\n";

impl Tree {
    pub fn new(cpu: &str, devices: &[Dev]) -> Self {
        let mut tree = Self { folder: tempfile::tempdir().unwrap(), natural: BTreeMap::new() };
        tree.write("proc/cpuinfo", &format!("processor\t: 0\nvendor_id\t: {cpu}\n"));
        tree.write("proc/sys/kernel/random/boot_id", "5f6e1c1e-first-boot\n");
        tree.write("usr/share/misc/pci.ids", IDS);
        tree.write("sys/bus/pci/drivers_probe", "");
        tree.driver("vfio-pci");
        devices.iter().for_each(|device| tree.add(device));
        tree
    }

    pub fn root(&self) -> Root {
        Root::at(self.folder.path())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn link(&self, below: &str, to: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(self.path(to), path).unwrap();
    }

    fn driver(&self, name: &str) {
        for file in ["bind", "unbind"] {
            self.write(&format!("sys/bus/pci/drivers/{name}/{file}"), "");
        }
    }

    fn add(&mut self, device: &Dev) {
        let mut folder = "sys/devices/pci0000:00".to_owned();
        for part in device.below.iter().chain([&device.at]) {
            folder = format!("{folder}/{part}");
        }
        let file = |name: &str, text: String| self.write(&format!("{folder}/{name}"), &text);
        file("class", format!("{:#08x}\n", device.class));
        file("vendor", format!("{:#06x}\n", device.ids.0));
        file("device", format!("{:#06x}\n", device.ids.1));
        file("driver_override", "(null)\n".to_owned());
        file("reset_method", format!("{}\n", device.reset));
        let bars =
            device.bars.iter().chain(std::iter::repeat(&0)).take(6).scan(0x1_0000_0000_u64, |at, &size| {
                let line = match size {
                    0 => "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".to_owned(),
                    _ => format!("{:#018x} {:#018x} 0x0000000000040200\n", *at, *at + size - 1),
                };
                *at += size;
                Some(line)
            });
        file("resource", bars.collect());
        if device.class >> 8 == 0x0300 {
            file("boot_vga", format!("{}\n", u8::from(device.boot_vga)));
        }
        self.link(&format!("sys/bus/pci/devices/{}", device.at), &folder);
        if let Some(group) = device.group {
            self.write(&format!("sys/kernel/iommu_groups/{group}/type"), "DMA-FQ\n");
            self.link(&format!("{folder}/iommu_group"), &format!("sys/kernel/iommu_groups/{group}"));
        }
        if !device.driver.is_empty() {
            self.driver(device.driver);
            self.link(&format!("{folder}/driver"), &format!("sys/bus/pci/drivers/{}", device.driver));
            self.natural.insert(device.at.to_owned(), device.driver.to_owned());
        }
    }

    /// A disk behind a function, with one partition.
    pub fn disk(&self, at: &Dev, below: &str, name: &str, numbers: (&str, &str)) -> String {
        let function = fs::canonicalize(self.path(&format!("sys/bus/pci/devices/{}", at.at))).unwrap();
        let function = function.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_owned();
        let (disk, part) = (format!("{function}/{below}/{name}"), format!("{name}p1"));
        self.write(&format!("{disk}/dev"), &format!("{}\n", numbers.0));
        self.write(&format!("{disk}/{part}/dev"), &format!("{}\n", numbers.1));
        self.link(&format!("sys/class/block/{name}"), &disk);
        self.link(&format!("sys/class/block/{part}"), &format!("{disk}/{part}"));
        disk
    }

    pub fn interface(&self, at: &Dev, name: &str, flags: &str) {
        let folder = format!("sys/bus/pci/devices/{}/net/{name}", at.at);
        self.write(&format!("{folder}/flags"), flags);
        self.link(&format!("sys/class/net/{name}"), &folder);
    }

    pub fn connector(&self, at: &Dev, name: &str, status: &str, enabled: &str) {
        let folder = format!("sys/bus/pci/devices/{}/drm/card0/{name}", at.at);
        self.write(&format!("{folder}/status"), status);
        self.write(&format!("{folder}/enabled"), enabled);
        self.link(&format!("sys/class/drm/{name}"), &folder);
    }

    pub fn facts(&self) -> PciFacts {
        sysfs::facts(&self.root(), Process { privilege: Privilege::Root, ..Process::default() })
    }

    /// Every function's driver and override, to compare before and after.
    pub fn state(&self) -> Vec<(PciAddress, Option<String>, Option<String>)> {
        let all = self.facts().functions.into_iter();
        all.map(|function| (function.address, function.driver, function.driver_override)).collect()
    }
}

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// The process is killed before it.
    Killed,
    Refused,
    /// Nothing happens and the kernel doesn't return.
    Hung,
}

/// The kernel: does every write, except for the n-th, which has the `fate`.
pub struct Kernel<'a> {
    pub tree: &'a Tree,
    pub written: Vec<SysfsWrite>,
    pub fate: (usize, Fate),
}

impl<'a> Kernel<'a> {
    pub fn new(tree: &'a Tree) -> Self {
        Self { tree, written: Vec::new(), fate: (usize::MAX, Fate::Done) }
    }

    pub fn with_fate(tree: &'a Tree, at: usize, fate: Fate) -> Self {
        Self { fate: (at, fate), ..Self::new(tree) }
    }

    fn apply(&self, write: &SysfsWrite) -> Result<(), Failed> {
        let refuse = |because: &str| Err(Failed::Refused(because.to_owned()));
        match write {
            SysfsWrite::Override { device, driver } => {
                let text = driver.as_deref().unwrap_or("(null)");
                self.tree.write(&format!("sys/bus/pci/devices/{device}/driver_override"), text);
                Ok(())
            }
            SysfsWrite::Unbind { device, driver } if self.driver(*device).as_ref() == Some(driver) => {
                fs::remove_file(self.tree.path(&format!("sys/bus/pci/devices/{device}/driver"))).unwrap();
                Ok(())
            }
            SysfsWrite::Bind { device, driver }
                if self.matches(*device, driver) && self.driver(*device).is_none() =>
            {
                self.bind(*device, driver);
                Ok(())
            }
            SysfsWrite::Unbind { .. } | SysfsWrite::Bind { .. } => refuse("No such device (os error 19)"),
            SysfsWrite::Probe { device } => {
                let natural = self.tree.natural.get(&device.to_string()).map(String::as_str);
                let driver =
                    [Some("vfio-pci"), natural].into_iter().flatten().find(|d| self.matches(*device, d));
                if let (Some(driver), None) = (driver, self.driver(*device)) {
                    self.bind(*device, driver);
                }
                Ok(())
            }
        }
    }

    fn driver(&self, address: PciAddress) -> Option<String> {
        sysfs::binding(&self.tree.root(), address).unwrap().driver
    }

    /// pci_match_device(): an override is the only one to match; vfio-pci matches nothing without one.
    fn matches(&self, address: PciAddress, driver: &str) -> bool {
        match sysfs::binding(&self.tree.root(), address).unwrap().driver_override {
            Some(only) => only == driver,
            None => self.tree.natural.get(&address.to_string()).is_some_and(|natural| natural == driver),
        }
    }

    fn bind(&self, address: PciAddress, driver: &str) {
        self.tree
            .link(&format!("sys/bus/pci/devices/{address}/driver"), &format!("sys/bus/pci/drivers/{driver}"));
    }
}

impl Writer for Kernel<'_> {
    fn write(&mut self, write: &SysfsWrite) -> Result<(), Failed> {
        if self.written.len() == self.fate.0 {
            match self.fate.1 {
                Fate::Done => {}
                Fate::Killed => std::panic::resume_unwind(Box::new("killed")),
                Fate::Refused => {
                    self.fate = (usize::MAX, Fate::Done);
                    return Err(Failed::Refused("Device or resource busy (os error 16)".to_owned()));
                }
                Fate::Hung => {
                    self.fate = (usize::MAX, Fate::Done);
                    return Err(Failed::Hung(std::time::Duration::from_secs(30)));
                }
            }
        }
        self.written.push(write.clone());
        self.apply(write)
    }
}
