//! Reads the facts. All paths are below one root, so tests can make their own tree.

use super::{
    Class, Cpu, Function, Memlock, Mount, Node, PciFacts, Privilege, UsbDevice, Use, bars, mounts, pci_name,
};
use crate::model::Binding;
use crate::model::units::PciAddress;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where /sys, /proc, /dev, /usr and /var are.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    pub fn system() -> Self {
        Self("/".into())
    }

    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.join(below)
    }

    pub fn text(&self, below: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.path(below)).ok()
    }

    fn names(&self, below: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn node(&self, below: &str) -> Option<Node> {
        let path = self.path(below);
        path.exists().then(|| match access(&path, AccessFlags::R_OK | AccessFlags::W_OK) {
            Ok(()) => Node::Usable,
            Err(_) => Node::Denied,
        })
    }
}

/// The privileges of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    pub memlock: Memlock,
    pub privilege: Privilege,
}

pub fn facts(root: &Root, process: Process) -> PciFacts {
    let names =
        ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"].iter().find_map(|path| root.text(path));
    let uses = Uses::read(root);
    let mut functions: Vec<_> = root
        .names("sys/bus/pci/devices")
        .iter()
        .filter_map(|name| function(root, name.parse().ok()?, names.as_deref(), &uses))
        .collect();
    functions.sort_by_key(|function| function.address);
    let groups = root.names("dev/vfio").into_iter().filter_map(|name| {
        let number = name.parse().ok()?;
        Some((number, root.node(&format!("dev/vfio/{name}"))?))
    });
    PciFacts {
        functions,
        cpu: cpu(&root.text("proc/cpuinfo").unwrap_or_default()),
        vfio_pci: root.path("sys/bus/pci/drivers/vfio-pci").exists(),
        // A node without a driver can't be opened.
        iommufd: fs::File::options().read(true).write(true).open(root.path("dev/iommu")).is_ok(),
        groups: groups.collect::<BTreeMap<_, _>>(),
        memlock: process.memlock,
        privilege: process.privilege,
        usb: root.names("sys/bus/usb/devices").iter().filter_map(|name| usb_device(root, name)).collect(),
    }
}

/// None for an interface, or a device that is being unplugged. Attributes: kernel documentation,
/// ABI/testing/sysfs-bus-usb and ABI/stable/sysfs-bus-usb.
fn usb_device(root: &Root, name: &str) -> Option<UsbDevice> {
    let text = |file: &str| root.text(format!("sys/bus/usb/devices/{name}/{file}"));
    let id = |file: &str| u16::from_str_radix(text(file)?.trim(), 16).ok();
    let number = |file: &str| text(file)?.trim().parse::<u16>().ok();
    let node = format!("{:03}/{:03}", number("busnum")?, number("devnum")?);
    Some(UsbDevice {
        name: name.to_owned(),
        vendor: id("idVendor")?,
        product: id("idProduct")?,
        access: root.node(&format!("dev/bus/usb/{node}")).unwrap_or(Node::Denied),
        node,
    })
}

fn cpu(cpuinfo: &str) -> Cpu {
    match cpuinfo.lines().find_map(|line| line.strip_prefix("vendor_id")?.split_once(": ")) {
        Some((_, "GenuineIntel")) => Cpu::Intel,
        Some((_, "AuthenticAMD" | "HygonGenuine")) => Cpu::Amd,
        _ => Cpu::Other,
    }
}

/// How the function is bound now; None if it is gone.
pub fn binding(root: &Root, address: PciAddress) -> Option<Binding> {
    let folder = device(address);
    root.path(&folder).exists().then(|| Binding {
        driver: link_name(&root.path(format!("{folder}/driver"))),
        driver_override: driver_override(root, &folder),
    })
}

/// VFIO's existing device nodes for the function: its group's and, if the kernel supports those, its own.
pub fn nodes(root: &Root, address: PciAddress) -> Vec<PathBuf> {
    let folder = device(address);
    let group = link_name(&root.path(format!("{folder}/iommu_group")));
    let own =
        root.names(format!("{folder}/vfio-dev")).into_iter().map(|name| format!("dev/vfio/devices/{name}"));
    let all = group.map(|number| format!("dev/vfio/{number}")).into_iter().chain(own);
    all.map(|node| root.path(node)).filter(|node| node.exists()).collect()
}

fn device(address: PciAddress) -> String {
    format!("sys/bus/pci/devices/{address}")
}

/// Attributes: kernel documentation, ABI/testing/sysfs-bus-pci.
fn function(root: &Root, address: PciAddress, names: Option<&str>, uses: &Uses) -> Option<Function> {
    let folder = device(address);
    let text = |name: &str| root.text(format!("{folder}/{name}")).map(|text| text.trim().to_owned());
    let link = |name: &str| link_name(&root.path(format!("{folder}/{name}")));
    let hex = |name: &str| u32::from_str_radix(text(name)?.strip_prefix("0x")?, 16).ok();
    let class = Class(hex("class")?);
    let id = |name: &str| hex(name).and_then(|id| u16::try_from(id).ok()).unwrap_or_default();
    let (vendor, device) = (id("vendor"), id("device"));
    let cdev =
        root.names(format!("{folder}/vfio-dev")).first().map(|name| format!("dev/vfio/devices/{name}"));
    Some(Function {
        address,
        class,
        vendor,
        device,
        name: names.filter(|_| class.is_display()).and_then(|ids| pci_name(ids, vendor, device)),
        driver: link("driver"),
        driver_override: driver_override(root, &folder),
        group: link("iommu_group").and_then(|number| number.parse().ok()),
        boot_vga: text("boot_vga").as_deref() == Some("1"),
        bars: text("resource").map(|text| bars(&text)).unwrap_or_default(),
        reset_methods: text("reset_method")
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        physical_function: link("physfn").and_then(|address| address.parse().ok()),
        virtual_functions: text("sriov_numvfs").and_then(|count| count.parse().ok()).unwrap_or_default(),
        uses: uses.of(address),
        cdev: cdev.and_then(|path| root.node(&path)),
    })
}

/// The kernel writes `(null)` if there is none.
fn driver_override(root: &Root, folder: &str) -> Option<String> {
    let text = root.text(format!("{folder}/driver_override"))?;
    Some(text.trim()).filter(|text| !text.is_empty() && *text != "(null)").map(str::to_owned)
}

fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// How the host uses its devices, each with its folder in /sys/devices.
struct Uses(Vec<(PathBuf, Use)>);

impl Uses {
    fn read(root: &Root) -> Self {
        let mut all = Vec::new();
        let (mounts, swaps) = (
            mounts(&root.text("proc/self/mountinfo").unwrap_or_default()),
            root.text("proc/swaps").unwrap_or_default(),
        );
        for disk in root.names("sys/class/block") {
            let uses = disk_uses(root, &disk, &mounts, &swaps);
            for folder in folders(root, &format!("sys/class/block/{disk}")) {
                all.extend(uses.iter().map(|what| (folder.clone(), what.clone())));
            }
        }
        for name in root.names("sys/class/net") {
            // IFF_UP of netdevice(7).
            let flags = root.text(format!("sys/class/net/{name}/flags")).unwrap_or_default();
            let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or_default();
            if let Ok(folder) = fs::canonicalize(root.path(format!("sys/class/net/{name}"))) {
                all.extend((flags & 1 != 0).then_some((folder, Use::Interface { name })));
            }
        }
        for connector in root.names("sys/class/drm") {
            let folder = format!("sys/class/drm/{connector}");
            let is = |what: &str, value: &str| {
                root.text(format!("{folder}/{what}")).is_some_and(|text| text.trim() == value)
            };
            if is("status", "connected") && is("enabled", "enabled") {
                let connector =
                    connector.split_once('-').map_or(connector.as_str(), |(_card, rest)| rest).to_owned();
                all.extend(
                    fs::canonicalize(root.path(&folder)).map(|folder| (folder, Use::Screen { connector })),
                );
            }
        }
        Self(all)
    }

    fn of(&self, address: PciAddress) -> Vec<Use> {
        let name = address.to_string();
        let hangs = |folder: &Path| folder.iter().any(|part| part == name.as_str());
        self.0.iter().filter(|(folder, _)| hangs(folder)).map(|(_, what)| what.clone()).collect()
    }
}

fn disk_uses(root: &Root, disk: &str, mounts: &[Mount], swaps: &str) -> Vec<Use> {
    let number = root.text(format!("sys/class/block/{disk}/dev")).unwrap_or_default();
    let path = format!("/dev/{disk}");
    let mount = mounts.iter().find(|mount| mount.device == number.trim() || mount.source == path);
    let swap = swaps.lines().any(|line| line.split_whitespace().next() == Some(&path));
    let holders = root.names(format!("sys/class/block/{disk}/holders"));
    let mut uses: Vec<_> =
        mount.map(|mount| Use::Mount { disk: path.clone(), at: mount.at.clone() }).into_iter().collect();
    uses.extend(swap.then(|| Use::Swap { disk: path.clone() }));
    uses.extend(holders.into_iter().map(|by| Use::Holder { disk: path.clone(), by }));
    uses
}

/// The folders in /sys/devices of a disk. An NVMe disk is in a virtual subsystem that links to its controllers.
fn folders(root: &Root, disk: &str) -> Vec<PathBuf> {
    let Ok(own) = fs::canonicalize(root.path(disk)) else { return Vec::new() };
    let subsystem =
        own.ancestors().find(|folder| folder.parent().is_some_and(|p| p.ends_with("nvme-subsystem")));
    let links = subsystem.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let controllers: Vec<_> = links
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .collect();
    std::iter::once(own).chain(controllers).collect()
}
