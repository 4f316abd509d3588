//! Systems without VFIO.

use crate::error::{Error, Result};
use crate::host::pci::PciFacts;
use crate::model::units::PciAddress;
use crate::model::{BindPlan, SysfsWrite};

/// Never exists here.
pub struct GpuLease;

fn needs_linux<T>() -> Result<T> {
    Err(Error::bad_input("GPU passthrough needs Linux (VFIO)"))
}

pub fn list() -> Result<PciFacts> {
    needs_linux()
}

pub fn bind(_gpu: PciAddress, _force: bool) -> Result<Vec<String>> {
    needs_linux()
}

pub fn release(_gpu: Option<PciAddress>) -> Result<Vec<PciAddress>> {
    needs_linux()
}

pub fn hold(_bind_plan: &BindPlan) -> Result<GpuLease> {
    needs_linux()
}

pub fn keep(_gpu: PciAddress) -> Result<()> {
    needs_linux()
}

pub fn write_one(_write: &SysfsWrite) -> Result<()> {
    needs_linux()
}

pub fn recover() -> Vec<String> {
    Vec::new()
}

pub fn allow_locking(_bytes: u64) {}
