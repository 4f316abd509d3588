//! What is written to hand a GPU over and to give it back: data, made from facts.

use super::{Function, VFIO_PCI};
use crate::units::PciAddress;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// From the root, without the first `/`.
    pub path: String,
    pub value: String,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.trim_end() {
            "" => write!(f, "echo > /{}", self.path),
            value => write!(f, "echo {value} > /{}", self.path),
        }
    }
}

/// A function that changes its driver, and how it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
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

/// A GPU on its way to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    pub gpu: PciAddress,
    /// The functions that the VM gets, by address.
    pub card: Vec<PciAddress>,
    /// The IOMMU groups that they are in.
    pub groups: Vec<u32>,
    /// What has to change its driver, in this order: the GPU itself comes last, as its audio function leans on it.
    /// It is given back in the reverse order.
    pub devices: Vec<Device>,
}

impl Handover {
    pub fn writes(&self) -> Vec<Write> {
        self.devices.iter().flat_map(Device::binding).collect()
    }
}

impl Device {
    pub fn of(function: &Function) -> Self {
        Self {
            address: function.address,
            driver: function.driver.clone(),
            driver_override: function.driver_override.clone(),
        }
    }

    /// The override first, so that no other driver can take the function once it is free.
    pub fn binding(&self) -> Vec<Write> {
        let address = self.address.to_string();
        let unbind = self.driver.as_deref().map(|driver| unbind(driver, self.address));
        let probe = Write { path: "sys/bus/pci/drivers_probe".to_owned(), value: address };
        [Some(self.override_with(Some(VFIO_PCI))), unbind, Some(probe)].into_iter().flatten().collect()
    }

    /// Back to how it was. Nothing is taken from a driver that somebody else chose meanwhile. It is bound by name and
    /// not by a probe: with two drivers that match, a probe could find the other one.
    pub fn releasing(&self, now: &Binding) -> Vec<Write> {
        let mut writes = Vec::new();
        if now.driver_override != self.driver_override {
            writes.push(self.override_with(self.driver_override.as_deref()));
        }
        let is_ours = now.driver.as_deref() == Some(VFIO_PCI) && now.driver != self.driver;
        if is_ours {
            writes.push(unbind(VFIO_PCI, self.address));
        }
        if let Some(driver) = self.driver.as_deref().filter(|_| is_ours || now.driver.is_none()) {
            writes.push(Write {
                path: format!("sys/bus/pci/drivers/{driver}/bind"),
                value: self.address.to_string(),
            });
        }
        writes
    }

    /// An empty line takes the override away (kernel documentation, ABI/testing/sysfs-bus-pci).
    fn override_with(&self, driver: Option<&str>) -> Write {
        Write {
            path: format!("sys/bus/pci/devices/{}/driver_override", self.address),
            value: driver.unwrap_or("\n").to_owned(),
        }
    }
}

fn unbind(driver: &str, address: PciAddress) -> Write {
    Write { path: format!("sys/bus/pci/drivers/{driver}/unbind"), value: address.to_string() }
}
