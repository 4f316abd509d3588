//! The commands on physical GPUs.

use super::print;
use crate::cli::{Command, GpuCommand};
use crate::error::Result;
use crate::units::PciAddress;
use crate::vfio::{self, os};
use std::process::ExitCode;

pub fn run(command: &GpuCommand) -> Result<ExitCode> {
    match command {
        GpuCommand::List { json: true } => print(format_args!("{:#}", vfio::json(&os::list()?))),
        GpuCommand::List { json: false } => print(vfio::table(&os::list()?)),
        GpuCommand::Bind { address, force } => bind(*address, *force),
        GpuCommand::Release { address } => release(*address),
        GpuCommand::Keep { address } => os::keep(*address).map(|()| ExitCode::SUCCESS),
        GpuCommand::Write { path, value } => os::write_one(path, value).map(|()| ExitCode::SUCCESS),
    }
}

fn bind(address: PciAddress, force: bool) -> Result<ExitCode> {
    let mut lines = os::bind(address, force)?;
    lines.push(format!(
        "{address} is bound to vfio-pci; to give it back: sudo virtualghost gpu release {address}"
    ));
    print(lines.join("\n"))
}

fn release(address: Option<PciAddress>) -> Result<ExitCode> {
    let released = os::release(address)?;
    if released.is_empty() {
        return print("nothing to give back");
    }
    let lines: Vec<_> = released.iter().map(|gpu| format!("{gpu} is with the host again")).collect();
    print(lines.join("\n"))
}

/// What a launch that was killed left on vfio-pci is given back by whoever comes next and may. Not by a process that is
/// part of another command, of which some are what a binding is made of.
pub fn recover(command: Option<&Command>) {
    let is_part = matches!(
        command,
        Some(
            Command::Gpu(GpuCommand::Keep { .. } | GpuCommand::Write { .. } | GpuCommand::Release { .. })
                | Command::Proxy { .. }
                | Command::Gl
                | Command::Guard { .. }
        )
    );
    if !is_part {
        os::recover().iter().for_each(|sentence| eprintln!("{sentence}"));
    }
}
