//! Binding and releasing: all of it or nothing, with the journal on disk.

use super::journal::{Journal, JournalEntry, Standing};
use crate::host::pci::sysfs::{self, Root};
use crate::model::units::PciAddress;
use crate::model::{BindPlan, BoundDevice, SysfsWrite, VFIO_PCI};
use crate::sys::ProcessId;
use anyhow::Result;
use std::fmt;
use std::time::Duration;

/// Writes one value. The kernel may refuse it, or not return.
pub trait Writer {
    fn write(&mut self, write: &SysfsWrite) -> Result<(), Failed>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    Refused(String),
    /// It may still happen.
    Hung(Duration),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(because) => f.write_str(because),
            Self::Hung(limit) => write!(
                f,
                "the kernel did not return in {} s: the driver does not release the device (see dmesg)",
                limit.as_secs()
            ),
        }
    }
}

/// A function that does not have the driver it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub address: PciAddress,
    pub what: String,
    hung: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.what)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nothing was written.
    #[error(transparent)]
    Journal(#[from] anyhow::Error),
    #[error("{gpu} was not bound to vfio-pci: {problem}; all changes were undone")]
    PutBack { gpu: PciAddress, problem: Problem },
    #[error("{gpu} was not bound to vfio-pci: {problem}; not undone: {left}")]
    Left { gpu: PciAddress, problem: Problem, left: String },
}

/// Binds every device of the plan. On an error the changes are undone; those that can't be undone stay in the journal.
pub fn bind(root: &Root, bind_plan: &BindPlan, kept: bool, writer: &mut dyn Writer) -> Result<(), BindError> {
    let journal = Journal::new(root);
    let _alone = journal.lock()?;
    let boot_id = journal.boot_id();
    // A process that was killed may have bound a part already; its entry has the former drivers.
    let former =
        journal.entries().into_iter().find(|entry| entry.gpu == bind_plan.gpu && entry.boot_id == boot_id);
    let mut devices = former.as_ref().map_or(Vec::new(), |entry| entry.devices.clone());
    let is_known =
        |new: &BoundDevice, known: &[BoundDevice]| known.iter().any(|device| device.address == new.address);
    devices
        .extend(bind_plan.devices.iter().filter(|new| !is_known(new, &devices)).cloned().collect::<Vec<_>>());
    let mut entry = JournalEntry {
        gpu: bind_plan.gpu,
        boot_id,
        holder: ProcessId::of_this_process(),
        kept: false,
        devices,
    };
    journal.save(&entry)?;
    let Err(problem) = bind_plan.devices.iter().try_for_each(|device| bind_one(root, device, writer)) else {
        // Kept only once it is complete: a bind by hand that dies before is undone.
        entry.kept = kept;
        return if kept { Ok(journal.save(&entry)?) } else { Ok(()) };
    };
    // All devices, also those of the earlier process.
    let left = restore(root, &entry.devices, writer);
    let gpu = bind_plan.gpu;
    if left.is_empty() && !problem.hung {
        journal.remove(gpu)?;
        return Err(BindError::PutBack { gpu, problem });
    }
    let left = if left.is_empty() { "that write may still happen".to_owned() } else { join(&left) };
    Err(BindError::Left { gpu, problem, left })
}

fn bind_one(root: &Root, device: &BoundDevice, writer: &mut dyn Writer) -> Result<(), Problem> {
    write_all(device.address, device.binding(), writer)?;
    expect(root, device.address, Some(VFIO_PCI))
}

fn write_all(address: PciAddress, writes: Vec<SysfsWrite>, writer: &mut dyn Writer) -> Result<(), Problem> {
    writes.iter().try_for_each(|write| {
        writer.write(write).map_err(|failed| Problem {
            address,
            what: format!("{write}: {failed}"),
            hung: matches!(failed, Failed::Hung(_)),
        })
    })
}

fn expect(root: &Root, address: PciAddress, driver: Option<&str>) -> Result<(), Problem> {
    let Some(now) = sysfs::binding(root, address) else { return Ok(()) };
    if now.driver.as_deref() == driver {
        return Ok(());
    }
    let name = |driver: Option<&str>| driver.map_or("none".to_owned(), str::to_owned);
    let what = format!("its driver is {}, not {}", name(now.driver.as_deref()), name(driver));
    Err(Problem { address, what, hung: false })
}

/// Returns every device to its former driver, in reverse order, unless it has that driver already.
fn restore(root: &Root, devices: &[BoundDevice], writer: &mut dyn Writer) -> Vec<Problem> {
    let one = |device: &BoundDevice| {
        // The device may be gone.
        let Some(now) = sysfs::binding(root, device.address) else { return Ok(()) };
        let has_other_driver = now.driver.as_deref().is_some_and(|driver| driver != VFIO_PCI);
        write_all(device.address, device.releasing(&now), writer)?;
        if has_other_driver { Ok(()) } else { expect(root, device.address, device.driver.as_deref()) }
    };
    devices.iter().rev().map(one).filter_map(Result::err).collect()
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Returns the devices of an entry. Those that can't be returned stay in the journal. After each pause it is retried: the
/// kernel may refuse a device that was in use a moment ago (it allows no other driver in an IOMMU group that VFIO still
/// uses) and accept it a moment later. A write that hangs is not retried.
///
/// # Errors
/// The devices that are left, in one sentence.
pub fn release(
    root: &Root,
    entry: &JournalEntry,
    writer: &mut dyn Writer,
    pauses: &[Duration],
) -> Result<()> {
    let journal = Journal::new(root);
    let _alone = journal.lock()?;
    // After another boot the entry no longer applies.
    if entry.standing(&journal.boot_id()) != Standing::Past {
        let mut left = restore(root, &entry.devices, writer);
        for &pause in pauses {
            if left.is_empty() || left.iter().any(|problem| problem.hung) {
                break;
            }
            std::thread::sleep(pause);
            left = restore(root, &entry.devices, writer);
        }
        if !left.is_empty() {
            anyhow::bail!("{} was not returned to the host: {}", entry.gpu, join(&left));
        }
    }
    journal.remove(entry.gpu)
}
