//! `virtualghost gpu`: lists, binds and releases physical GPUs.

use crate::cli::args::{Command, GpuCommand};
use crate::cli::output::print;
use crate::error::Result;
use crate::model::units::PciAddress;
use crate::sys::output::error_line;
use crate::vfio::{self, os};
use std::process::ExitCode;

pub fn run(command: &GpuCommand) -> Result<ExitCode> {
    match command {
        GpuCommand::List { json: true } => print(format_args!("{:#}", vfio::json(&os::list()?))),
        GpuCommand::List { json: false } => print(vfio::table(&os::list()?)),
        GpuCommand::Bind { address, force } => bind(*address, *force),
        GpuCommand::Release { address } => release(*address),
        GpuCommand::Keep { address } => os::keep(*address).map(|()| ExitCode::SUCCESS),
        GpuCommand::Write(write) => os::write_one(write).map(|()| ExitCode::SUCCESS),
    }
}

fn bind(address: PciAddress, force: bool) -> Result<ExitCode> {
    let mut lines = os::bind(address, force)?;
    lines.push(format!(
        "{address} is bound to vfio-pci; to return it to the host: sudo virtualghost gpu release {address}"
    ));
    print(lines.join("\n"))
}

fn release(address: Option<PciAddress>) -> Result<ExitCode> {
    let released = os::release(address)?;
    if released.is_empty() {
        return print("no GPU to release");
    }
    let lines: Vec<_> = released.iter().map(|gpu| format!("{gpu} was returned to the host")).collect();
    print(lines.join("\n"))
}

/// Returns GPUs to the host that a killed launch has left on vfio-pci, if this user may. Not in a process that is part of
/// another command: some of those are part of a binding.
pub fn recover(command: Option<&Command>) {
    let is_part = matches!(
        command,
        Some(
            Command::Gpu(GpuCommand::Keep { .. } | GpuCommand::Write(_) | GpuCommand::Release { .. })
                | Command::Proxy { .. }
                | Command::Gl
                | Command::NetPeer { .. }
                | Command::Guard { .. }
        )
    );
    if !is_part {
        os::recover().iter().for_each(error_line);
    }
}
