//! The process that holds the GPU while a VM is running. It runs as root, through sudo if needed, because binding needs
//! root; the launcher and QEMU do not. Its standard input is a pipe from the launcher: when the launcher ends, even by
//! SIGKILL, the pipe closes, and the broker returns the GPU.
//!
//! ```text
//! launcher ── (sudo) ── broker        "bound" on its standard output, once it is
//!    │   └── pipe ───────►│           end of file: wait for QEMU's exit, return the GPU, exit
//!  QEMU
//! ```

use super::sysfs_writer::ChildWriter;
use super::{HOW_TO_RELEASE, allowed, bind_error, nodes, return_to_host};
use crate::error::{Error, Kind, Result};
use crate::host::pci::sysfs::Root;
use crate::host::pci::{self, Privilege};
use crate::model::BindPlan;
use crate::model::units::PciAddress;
use crate::sys::{output, process};
use crate::vfio::journal::Journal;
use crate::vfio::transaction;
use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BOUND: &str = "bound";

/// QEMU is killed with the launcher; closing the GPU resets it.
const QEMUS_EXIT: Duration = Duration::from_secs(20);

/// A GPU that is bound to vfio-pci until this is dropped.
pub struct GpuLease {
    broker: Child,
    gpu: PciAddress,
}

/// Binds the devices of the plan through a broker, which is started with sudo if this process is not root.
///
/// # Errors
/// It was not bound; the broker has printed the reason.
pub fn hold(bind_plan: &BindPlan) -> Result<GpuLease> {
    let gpu = bind_plan.gpu;
    let executable = process::this_program()?;
    let mut command = match pci::privilege() {
        Privilege::Root => Command::new(executable),
        Privilege::Sudo | Privilege::None => {
            output::error_line(format_args!(
                "binding {gpu} to vfio-pci with sudo; the VM itself runs as you"
            ));
            let mut sudo = Command::new("sudo");
            sudo.arg("--").arg(executable);
            sudo
        }
    };
    command.args(["gpu", "keep", &gpu.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut broker = command.spawn().context("can't start sudo")?;
    let mut answer = String::new();
    let stdout = broker.stdout.take().expect("it is piped");
    let _ = BufReader::new(stdout).read_line(&mut answer);
    if answer.trim() == BOUND {
        return Ok(GpuLease { broker, gpu });
    }
    let _ = broker.wait();
    Err(Error::new(Kind::Failed, format!("{gpu} could not be bound to vfio-pci"))
        .hint(format!("bind it first, then launch: sudo virtualghost gpu bind {gpu}")))
}

impl Drop for GpuLease {
    fn drop(&mut self) {
        drop(self.broker.stdin.take());
        if !self.broker.wait().is_ok_and(|status| status.success()) {
            output::error_line(format_args!("{} may still be bound to vfio-pci; {HOW_TO_RELEASE}", self.gpu));
        }
    }
}

/// The broker: binds the GPU, waits for the end of standard input, and returns the GPU.
pub fn keep(gpu: PciAddress) -> Result<()> {
    // Ctrl-C and a closed terminal are for the launcher, and the broker ends after it.
    for ignored in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        // SAFETY: no handler is set, so none runs.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    super::recover().iter().for_each(output::error_line);
    let root = Root::system();
    let bind_plan = allowed(&pci::probe(), gpu, false)?;
    transaction::bind(&root, &bind_plan, false, &mut ChildWriter).map_err(bind_error)?;
    nodes::grant(&bind_plan.card);
    let _ = writeln!(io::stdout(), "{BOUND}");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let entry = Journal::new(&root).entries().into_iter().find(|entry| entry.gpu == gpu);
    entry.map_or(Ok(()), |entry| return_to_host(&entry, QEMUS_EXIT))
}
