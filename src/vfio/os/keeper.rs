//! The process that has the GPU in its keeping while a VM runs. It is root, or was started by sudo, for the binding's
//! sake; the launcher and QEMU are not. It ends with its standard input, whose other end the launcher alone has: so the
//! GPU is given back when the launcher ends, be it by SIGKILL.
//!
//! ```text
//! launcher ── (sudo) ── keeper        "bound" on its standard output, once it is
//!    │   └── pipe ───────►│           end of file: wait for QEMU's end, give back, exit
//!  QEMU
//! ```

use super::writer::ChildWriter;
use super::{HOW_TO_GIVE_BACK, allowed, bind_error, give_back, nodes};
use crate::error::{Error, Kind, Result};
use crate::units::PciAddress;
use crate::vfio::journal::Journal;
use crate::vfio::sysfs::Root;
use crate::vfio::{Handover, Privilege, transaction};
use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BOUND: &str = "bound";

/// QEMU dies with the launcher; closing the GPU resets it.
const QEMUS_END: Duration = Duration::from_secs(20);

/// A GPU that is bound to vfio-pci for as long as this lives.
pub struct Held {
    keeper: Child,
    gpu: PciAddress,
}

/// Binds what has to be, through a keeper. Asks sudo where this process may not.
///
/// # Errors
/// It was not bound; the keeper has said why on standard error.
pub fn hold(handover: &Handover) -> Result<Held> {
    let gpu = handover.gpu;
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let mut command = match super::privilege() {
        Privilege::Root => Command::new(executable),
        Privilege::Sudo | Privilege::None => {
            eprintln!("sudo is asked for the right to bind {gpu} to vfio-pci; the VM itself runs as you");
            let mut sudo = Command::new("sudo");
            sudo.arg("--").arg(executable);
            sudo
        }
    };
    command.args(["gpu", "keep", &gpu.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut keeper = command.spawn().context("can't start sudo")?;
    let mut answer = String::new();
    let stdout = keeper.stdout.take().expect("it is piped");
    let _ = BufReader::new(stdout).read_line(&mut answer);
    if answer.trim() == BOUND {
        return Ok(Held { keeper, gpu });
    }
    let _ = keeper.wait();
    Err(Error::new(Kind::Failed, format!("{gpu} could not be bound to vfio-pci"))
        .hint(format!("bind it first, then launch: sudo virtualghost gpu bind {gpu}")))
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if !self.keeper.wait().is_ok_and(|status| status.success()) {
            eprintln!("{} may not be with the host again; {HOW_TO_GIVE_BACK}", self.gpu);
        }
    }
}

/// What the keeper does.
pub fn keep(gpu: PciAddress) -> Result<()> {
    // Ctrl-C and a closed terminal are for the launcher, whose end is the keeper's.
    for ignored in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        // SAFETY: no handler is set, so none runs.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    super::recover().iter().for_each(|sentence| eprintln!("{sentence}"));
    let root = Root::system();
    let handover = allowed(&super::probe(), gpu, false)?;
    transaction::bind(&root, &handover, false, &mut ChildWriter).map_err(bind_error)?;
    nodes::grant(&handover.card);
    let _ = writeln!(io::stdout(), "{BOUND}");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let entry = Journal::new(&root).entries().into_iter().find(|entry| entry.gpu == gpu);
    entry.map_or(Ok(()), |entry| give_back(&entry, QEMUS_END))
}
