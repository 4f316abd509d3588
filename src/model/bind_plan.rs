//! The writes that bind a GPU to vfio-pci and return it to the host: data, made from facts.

use super::units::PciAddress;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The driver that a passed function is bound to.
pub const VFIO_PCI: &str = "vfio-pci";

/// One value for one file of sysfs (kernel documentation, ABI/testing/sysfs-bus-pci). There is no write to any other file,
/// so the process that runs as root and does them, `gpu write`, can be used for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum SysfsWrite {
    /// Set the only driver that may bind to a function; without one, any may
    Override {
        device: PciAddress,
        #[arg(value_parser = driver_name)]
        driver: Option<String>,
    },
    /// Unbind a function from its driver
    Unbind {
        device: PciAddress,
        #[arg(value_parser = driver_name)]
        driver: String,
    },
    /// Bind a function to a driver
    Bind {
        device: PciAddress,
        #[arg(value_parser = driver_name)]
        driver: String,
    },
    /// Have the kernel find a driver for a function
    Probe { device: PciAddress },
}

/// The name of a folder in /sys/bus/pci/drivers.
fn driver_name(text: &str) -> Result<String, String> {
    let is_name = !matches!(text, "" | "." | "..") && !text.contains(|c: char| c == '/' || c.is_control());
    if is_name { Ok(text.to_owned()) } else { Err("this is not the name of a driver".to_owned()) }
}

impl SysfsWrite {
    /// From the root, without the first `/`.
    pub fn path(&self) -> String {
        match self {
            Self::Override { device, .. } => format!("sys/bus/pci/devices/{device}/driver_override"),
            Self::Unbind { driver, .. } => format!("sys/bus/pci/drivers/{driver}/unbind"),
            Self::Bind { driver, .. } => format!("sys/bus/pci/drivers/{driver}/bind"),
            Self::Probe { .. } => "sys/bus/pci/drivers_probe".to_owned(),
        }
    }

    /// An empty line removes an override.
    pub fn value(&self) -> String {
        match self {
            Self::Override { driver, .. } => driver.clone().unwrap_or_else(|| "\n".to_owned()),
            Self::Unbind { device, .. } | Self::Bind { device, .. } | Self::Probe { device } => {
                device.to_string()
            }
        }
    }

    /// The arguments of `gpu write` that mean this write.
    pub fn arguments(&self) -> Vec<String> {
        let (name, device, driver) = match self {
            Self::Override { device, driver } => ("override", device, driver.as_ref()),
            Self::Unbind { device, driver } => ("unbind", device, Some(driver)),
            Self::Bind { device, driver } => ("bind", device, Some(driver)),
            Self::Probe { device } => ("probe", device, None),
        };
        let words = [name.to_owned(), "--".to_owned(), device.to_string()];
        words.into_iter().chain(driver.cloned()).collect()
    }
}

impl fmt::Display for SysfsWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value().trim_end() {
            "" => write!(f, "echo > /{}", self.path()),
            value => write!(f, "echo {value} > /{}", self.path()),
        }
    }
}

/// A function whose driver changes, and its former state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundDevice {
    pub address: PciAddress,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
}

/// How a function is bound at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub driver: Option<String>,
    pub driver_override: Option<String>,
}

/// How a GPU is passed to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindPlan {
    pub gpu: PciAddress,
    /// The functions that the VM gets, by address.
    pub card: Vec<PciAddress>,
    /// The IOMMU groups that they are in.
    pub groups: Vec<u32>,
    /// The functions whose driver changes, in this order: the GPU itself is last, as its audio function depends on it. They
    /// are released in reverse order.
    pub devices: Vec<BoundDevice>,
}

impl BindPlan {
    pub fn writes(&self) -> Vec<SysfsWrite> {
        self.devices.iter().flat_map(BoundDevice::binding).collect()
    }
}

impl BoundDevice {
    /// The override first, so that no other driver can bind to the function once it is free.
    pub fn binding(&self) -> Vec<SysfsWrite> {
        let device = self.address;
        let unbind = self.driver.clone().map(|driver| SysfsWrite::Unbind { device, driver });
        [
            Some(SysfsWrite::Override { device, driver: Some(VFIO_PCI.to_owned()) }),
            unbind,
            Some(SysfsWrite::Probe { device }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Back to the former state. A driver that was chosen meanwhile stays. The driver is bound by name and not by a probe:
    /// with two matching drivers, a probe could find the other one.
    pub fn releasing(&self, now: &Binding) -> Vec<SysfsWrite> {
        let device = self.address;
        let mut writes = Vec::new();
        if now.driver_override != self.driver_override {
            writes.push(SysfsWrite::Override { device, driver: self.driver_override.clone() });
        }
        let is_ours = now.driver.as_deref() == Some(VFIO_PCI) && now.driver != self.driver;
        if is_ours {
            writes.push(SysfsWrite::Unbind { device, driver: VFIO_PCI.to_owned() });
        }
        if let Some(driver) = self.driver.clone().filter(|_| is_ours || now.driver.is_none()) {
            writes.push(SysfsWrite::Bind { device, driver });
        }
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct GpuWrite {
        #[command(subcommand)]
        write: SysfsWrite,
    }

    fn parse(words: &[String]) -> Option<SysfsWrite> {
        let words = std::iter::once("write").chain(words.iter().map(String::as_str));
        GpuWrite::try_parse_from(words).ok().map(|parsed| parsed.write)
    }

    fn device(driver: &str, driver_override: Option<&str>) -> BoundDevice {
        BoundDevice {
            address: "0000:01:00.0".parse().unwrap(),
            driver: Some(driver.to_owned()),
            driver_override: driver_override.map(str::to_owned),
        }
    }

    #[test]
    fn every_write_of_a_plan_is_the_same_after_the_command_line() {
        let bound = Binding { driver: Some(VFIO_PCI.to_owned()), driver_override: Some(VFIO_PCI.to_owned()) };
        for device in [device("nouveau", None), device("--odd name", Some("-x"))] {
            let writes = [device.binding(), device.releasing(&bound)].concat();
            assert_eq!(writes.len(), 6);
            for write in writes {
                assert_eq!(parse(&write.arguments()).as_ref(), Some(&write));
            }
        }
    }

    #[test]
    fn no_words_are_a_write_to_a_file_that_is_not_of_pci_drivers() {
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        assert!(parse(&words("unbind|0000:01:00.0|nouveau")).is_some());
        for refused in [
            "/etc/passwd|x",
            "unbind|0000:01:00.0|../../../../etc",
            "bind|0000:01:00.0|..",
            "bind|0000:01:00.0|.",
            "bind|0000:01:00.0|",
            "bind|0000:01:00.0",
            "bind|../x|nouveau",
            "override|0000:01:00.0/../x|nouveau",
            "override|0000:01:00.0|a\nb",
            "probe|0000:01:00.0 0000:02:00.0",
        ] {
            assert_eq!(parse(&words(refused)), None, "{refused}");
        }
    }
}
