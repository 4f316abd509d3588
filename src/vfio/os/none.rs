//! Where there is no VFIO.

use crate::error::{Error, Result};
use crate::units::PciAddress;
use crate::vfio::{Facts, Handover};
use std::path::Path;

/// Nothing is held here.
pub struct Held;

pub fn probe() -> Facts {
    Facts::default()
}

fn needs_linux<T>() -> Result<T> {
    Err(Error::bad_input("GPU passthrough needs Linux (VFIO)"))
}

pub fn list() -> Result<Facts> {
    needs_linux()
}

pub fn bind(_gpu: PciAddress, _force: bool) -> Result<Vec<String>> {
    needs_linux()
}

pub fn release(_gpu: Option<PciAddress>) -> Result<Vec<PciAddress>> {
    needs_linux()
}

pub fn hold(_handover: &Handover) -> Result<Held> {
    needs_linux()
}

pub fn keep(_gpu: PciAddress) -> Result<()> {
    needs_linux()
}

pub fn write_one(_path: &Path, _value: &str) -> Result<()> {
    needs_linux()
}

pub fn recover() -> Vec<String> {
    Vec::new()
}

pub fn allow_locking(_bytes: u64) {}
