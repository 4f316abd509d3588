//! `virtualghost ps`: lists running VMs.

use crate::cli::output::{print, print_table};
use crate::error::Result;
use crate::instance::{self, RunningVm};
use crate::sys::Dirs;
use serde_json::json;
use std::process::ExitCode;

pub fn run(as_json: bool) -> Result<ExitCode> {
    let found = instance::list(&Dirs::find()?.vms_path());
    if as_json {
        let states = found.iter().map(|vm| match &vm.state {
            Some(state) => json!(state),
            // Its launcher has locked the name and has not written the state file yet.
            None => json!({ "name": vm.name.as_str(), "state": "booting" }),
        });
        return print(format_args!("{:#}", json!(states.collect::<Vec<_>>())));
    }
    if found.is_empty() {
        return print("no VM is running");
    }
    let head = ["NAME", "STATE", "PID", "ACCEL", "GPU", "CHANNEL", "SINCE", "READY AFTER", "SHARES"];
    print_table(head, found.iter().map(row))
}

fn row(vm: &RunningVm) -> [String; 9] {
    let Some(state) = &vm.state else {
        return [vm.name.as_str(), "booting", "", "", "", "", "", "", ""].map(str::to_owned);
    };
    [
        state.name.clone(),
        state.state.to_string(),
        state.pid.to_string(),
        state.accelerator.clone(),
        state.gpu.clone(),
        state.channel.map(|address| address.to_string()).unwrap_or_default(),
        state.since.clone(),
        state.ready_after.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default(),
        state.shares.join(", "),
    ]
}
