//! QEMU in a control group of its own, with a limit of memory and threads: a request to systemd by busctl(1), which comes with
//! it. It is made beside the start, which does not wait for it: nothing of a VM depends on the limit.

use crate::model::{Scope, ServiceManager};
use crate::sys::time_limit::output_within;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// For systemd to reply.
const REPLY: Duration = Duration::from_secs(10);

/// QEMU has a thread for each vCPU and up to 64 for its disks; a software renderer one for each of the host's processors.
const THREADS: u64 = 2048;

impl Scope {
    /// Moves the process `pid` into the scope, on a thread. If systemd refuses, the log has the reason.
    pub(super) fn move_into(self, pid: u32) {
        let request = move || {
            if let Err(e) = self.request(pid) {
                tracing::debug!("QEMU has no scope of its own: {e:#}");
            }
        };
        if let Err(e) = thread::Builder::new().name("scope".to_owned()).spawn(request) {
            tracing::debug!("QEMU has no scope of its own: {e}");
        }
    }

    fn request(self, pid: u32) -> Result<()> {
        let mut busctl = Command::new("busctl");
        let output = output_within(busctl.args(self.arguments(pid)), REPLY).context("can't run busctl")?;
        ensure!(output.status.success(), "busctl ended with {}", output.status);
        Ok(())
    }

    /// StartTransientUnit(name, mode, properties, auxiliary units) of org.freedesktop.systemd1(5).
    fn arguments(self, pid: u32) -> Vec<String> {
        let (manager, slice) = match self.manager {
            ServiceManager::System => ("--system", "system.slice"),
            ServiceManager::User => ("--user", "app.slice"),
        };
        let unit = format!("virtualghost-{pid}.scope");
        let properties: [(&str, &str, &[&str]); 5] = [
            ("PIDs", "au", &["1", &pid.to_string()]),
            ("Slice", "s", &[slice]),
            ("Description", "s", &["a VM of VirtualGhost"]),
            ("MemoryMax", "t", &[&(self.memory << 20).to_string()]),
            ("TasksMax", "t", &[&THREADS.to_string()]),
        ];
        let mut arguments: Vec<String> = [
            manager,
            "--quiet",
            "call",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            &unit,
            "fail",
            &properties.len().to_string(),
        ]
        .map(str::to_owned)
        .into();
        for (property, kind, values) in properties {
            arguments.extend([property, kind].into_iter().chain(values.iter().copied()).map(str::to_owned));
        }
        // No auxiliary unit.
        arguments.push("0".to_owned());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_process_and_its_limits() {
        let words = |manager| Scope { manager, memory: 3072 }.arguments(77).join(" ");
        let user = words(ServiceManager::User);
        assert!(user.starts_with("--user ") && user.contains(" Slice s app.slice "), "{user}");
        assert!(user.contains(" virtualghost-77.scope fail 5 PIDs au 1 77 "), "{user}");
        assert!(user.contains(" MemoryMax t 3221225472 TasksMax t 2048 0"), "{user}");
        let system = words(ServiceManager::System);
        assert!(system.starts_with("--system ") && system.contains(" Slice s system.slice "), "{system}");
    }
}
