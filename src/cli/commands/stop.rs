//! `virtualghost stop`: powers off VMs and waits until they have stopped.

use crate::cli::output::print;
use crate::error::Result;
use crate::instance;
use crate::model::units::VmName;
use crate::sys::Dirs;
use std::process::ExitCode;

pub fn run(name: Option<&VmName>, all: bool, force: bool) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let found = if all { instance::list(&vms) } else { vec![instance::find(&vms, name)?] };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            found.iter().map(|vm| scope.spawn(|| instance::stop(&vms, vm, force))).collect();
        threads.into_iter().map(|thread| thread.join().expect("stopping does not panic")).collect()
    });
    for (vm, result) in found.iter().zip(&results) {
        if result.is_ok() {
            print(format_args!("stopped {}", vm.name))?;
        }
    }
    if found.is_empty() {
        return print("no VM is running");
    }
    results.into_iter().collect::<Result<()>>()?;
    Ok(ExitCode::SUCCESS)
}
