//! `virtualghost ports`: the ports of this machine that lead into a VM.

use crate::cli::output::print;
use crate::error::Result;
use crate::instance::{self, VmState};
use crate::model::Transport;
use crate::model::units::VmName;
use crate::net;
use crate::sys::Dirs;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub fn run(name: Option<&VmName>, as_json: bool, open: &[u16]) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let vm = instance::find(&vms, name)?;
    let mut state = vm.state;
    if !open.is_empty() {
        net::open(open, &vm.files.network_request_path())?;
        // The launcher publishes its state after it has opened them.
        const PATIENCE: Duration = Duration::from_secs(2);
        let until = Instant::now() + PATIENCE;
        let is_open = |state: &Option<VmState>| {
            let ports = state.as_ref().map(|state| &state.ports[..]).unwrap_or_default();
            let leads_to = |guest: &u16| {
                ports.iter().any(|port| (port.guest, port.transport) == (*guest, Transport::Tcp))
            };
            open.iter().all(leads_to)
        };
        while !is_open(&state) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
            state = instance::running(&vms, &vm.name).and_then(|vm| vm.state);
        }
    }
    let ports = state.map(|state| state.ports).unwrap_or_default();
    if as_json {
        return print(format_args!("{:#}", json!(ports)));
    }
    if ports.is_empty() {
        return print(format_args!("no port of this machine leads into {}", vm.name));
    }
    let lines: Vec<_> = ports
        .iter()
        .map(|port| {
            let suffix = port.transport.suffix();
            format!("127.0.0.1:{:<5}  port {}{suffix} of {}", port.host, port.guest, vm.name)
        })
        .collect();
    print(lines.join("\n"))
}
