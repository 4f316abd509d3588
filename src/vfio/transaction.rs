//! Binding and giving back: all of it or nothing, with the journal on disk around it.

use super::VFIO_PCI;
use super::handover::{Device, Handover, Write};
use super::journal::{Entry, Holder, Journal, Standing};
use super::sysfs::{self, Root};
use crate::units::PciAddress;
use anyhow::Result;
use std::fmt;
use std::time::Duration;

/// Writes one value. The kernel may refuse it, or not return.
pub trait Writer {
    fn write(&mut self, write: &Write) -> Result<(), Failed>;
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
                "the kernel has not returned for {} s; the driver does not let go (dmesg may tell why)",
                limit.as_secs()
            ),
        }
    }
}

/// A function that isn't where it should be.
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
    #[error("{gpu} was not bound to vfio-pci: {problem}; what had changed was put back")]
    PutBack { gpu: PciAddress, problem: Problem },
    #[error("{gpu} was not bound to vfio-pci: {problem}; not put back: {left}")]
    Left { gpu: PciAddress, problem: Problem, left: String },
}

/// Binds every device of the handover. On an error what was changed is put back; what can't be stays in the journal.
pub fn bind(root: &Root, handover: &Handover, kept: bool, writer: &mut dyn Writer) -> Result<(), BindError> {
    let journal = Journal::new(root);
    let _alone = journal.lock()?;
    let boot_id = journal.boot_id();
    // Part of it may be bound already, by one that was killed: how it was before, that one wrote down.
    let former =
        journal.entries().into_iter().find(|entry| entry.gpu == handover.gpu && entry.boot_id == boot_id);
    let mut devices = former.as_ref().map_or(Vec::new(), |entry| entry.devices.clone());
    let is_known = |new: &Device, known: &[Device]| known.iter().any(|device| device.address == new.address);
    devices
        .extend(handover.devices.iter().filter(|new| !is_known(new, &devices)).cloned().collect::<Vec<_>>());
    let mut entry =
        Entry { gpu: handover.gpu, boot_id, holder: Holder::this_process(), kept: false, devices };
    journal.save(&entry)?;
    let Err(problem) = handover.devices.iter().try_for_each(|device| bind_one(root, device, writer)) else {
        // Only what is whole is kept: of a bind by hand that dies on the way, nothing is.
        entry.kept = kept;
        return if kept { Ok(journal.save(&entry)?) } else { Ok(()) };
    };
    // All of it, what the one before left, too.
    let left = restore(root, &entry.devices, writer);
    let gpu = handover.gpu;
    if left.is_empty() && !problem.hung {
        journal.remove(gpu)?;
        return Err(BindError::PutBack { gpu, problem });
    }
    let left = if left.is_empty() { "that write may still happen".to_owned() } else { join(&left) };
    Err(BindError::Left { gpu, problem, left })
}

fn bind_one(root: &Root, device: &Device, writer: &mut dyn Writer) -> Result<(), Problem> {
    write_all(device.address, device.binding(), writer)?;
    expect(root, device.address, Some(VFIO_PCI))
}

fn write_all(address: PciAddress, writes: Vec<Write>, writer: &mut dyn Writer) -> Result<(), Problem> {
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
    let name = |driver: Option<&str>| driver.map_or("no driver".to_owned(), str::to_owned);
    let what = format!("it is with {}, not with {}", name(now.driver.as_deref()), name(driver));
    Err(Problem { address, what, hung: false })
}

/// Puts every device back, in reverse order, as far as each is not there already.
fn restore(root: &Root, devices: &[Device], writer: &mut dyn Writer) -> Vec<Problem> {
    let one = |device: &Device| {
        // One that is gone has nothing to get back.
        let Some(now) = sysfs::binding(root, device.address) else { return Ok(()) };
        let somebody_elses = now.driver.as_deref().is_some_and(|driver| driver != VFIO_PCI);
        write_all(device.address, device.releasing(&now), writer)?;
        if somebody_elses { Ok(()) } else { expect(root, device.address, device.driver.as_deref()) }
    };
    devices.iter().rev().map(one).filter_map(Result::err).collect()
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Gives back what an entry says. What can't be given back stays in the journal. After each pause it is tried again: a
/// device that was in use a moment ago may be refused (the kernel lets no other driver into an IOMMU group that VFIO
/// still has) and be taken a moment later. A write that hangs is not tried again.
///
/// # Errors
/// What is left, in one sentence.
pub fn release(root: &Root, entry: &Entry, writer: &mut dyn Writer, pauses: &[Duration]) -> Result<()> {
    let journal = Journal::new(root);
    let _alone = journal.lock()?;
    // After a boot nothing is as it was written down.
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
            anyhow::bail!("{} was not given back: {}", entry.gpu, join(&left));
        }
    }
    journal.remove(entry.gpu)
}
