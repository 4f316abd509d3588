//! Which physical GPU the VM gets, if any. A GPU is eligible when it is bound to vfio-pci already and sits
//! in an IOMMU group (kernel documentation, driver-api/vfio).

use super::{Choice, GpuMode, PlanError, refused};
use crate::config::{Config, GpuChoice, Setting};
use crate::host::{HostFacts, Os, PciGpu};

/// None where none is wanted.
pub fn passthrough(facts: &HostFacts, config: &Config) -> Result<Option<Choice<GpuMode>>, PlanError> {
    let setting = &config.gpu;
    if setting.value == GpuChoice::None {
        return Ok(None);
    }
    let refuse = |because: &str, hint: &str| refused("GPU passthrough", setting, because, hint);
    if facts.os != Os::Linux {
        return Err(refuse(
            "passthrough needs Linux (VFIO)",
            "drop --gpu: the window then uses what this system offers",
        ));
    }
    let gpu = match setting.value {
        GpuChoice::Address(address) => {
            facts.gpus.iter().find(|gpu| gpu.address == address).ok_or_else(|| {
                refuse(&format!("there is no GPU at {address}"), &format!("take one of {}", list(facts)))
            })?
        }
        _ => only_eligible(facts, setting)?,
    };
    match obstacle(gpu) {
        Some((because, hint)) => Err(refuse(&format!("{} {because}", gpu.address), &hint)),
        None => Ok(Some(Choice::said(GpuMode::Passthrough(gpu.address), setting))),
    }
}

fn only_eligible<'a>(facts: &'a HostFacts, setting: &Setting<GpuChoice>) -> Result<&'a PciGpu, PlanError> {
    let eligible: Vec<_> = facts.gpus.iter().filter(|gpu| obstacle(gpu).is_none()).collect();
    match eligible[..] {
        [gpu] => Ok(gpu),
        [] => Err(refused(
            "GPU passthrough",
            setting,
            &format!("no GPU is eligible; this machine has {}", list(facts)),
            "name one to learn what it lacks: --gpu ADDRESS",
        )),
        _ => Err(refused(
            "GPU passthrough",
            setting,
            &format!("several GPUs are eligible: {}", list(facts)),
            "say which: --gpu ADDRESS",
        )),
    }
}

/// Why this GPU can't be passed, and what to do.
pub fn obstacle(gpu: &PciGpu) -> Option<(String, String)> {
    match (gpu.iommu_group, gpu.driver.as_deref()) {
        (None, _) => Some((
            "is in no IOMMU group: the IOMMU is off".to_owned(),
            "switch VT-d or AMD-Vi on in the firmware and boot with intel_iommu=on or amd_iommu=on"
                .to_owned(),
        )),
        (Some(_), Some("vfio-pci")) => None,
        (Some(_), driver) => Some((
            format!("is bound to {}, not to vfio-pci", driver.unwrap_or("no driver")),
            format!("as root: modprobe vfio-pci && driverctl set-override {} vfio-pci", gpu.address),
        )),
    }
}

fn list(facts: &HostFacts) -> String {
    match facts.gpus.iter().map(|gpu| gpu.address.to_string()).collect::<Vec<_>>() {
        gpus if gpus.is_empty() => "no GPU on the PCI bus".to_owned(),
        gpus => gpus.join(", "),
    }
}
