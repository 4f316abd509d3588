//! The commands on VMs that run or have run.

use super::{merged_config, print, print_bytes};
use crate::config::Layer;
use crate::error::{Error, Kind, Result};
use crate::folders::Folders;
use crate::instance::{self, Files, Found, Home};
use crate::remote::{self, config, proxy};
use crate::units::VmName;
use anyhow::Context;
use serde_json::json;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

pub fn ps(as_json: bool) -> Result<ExitCode> {
    let found = instance::list(&Folders::find()?.vms_path());
    if as_json {
        let states = found.iter().map(|vm| match &vm.state {
            Some(state) => json!(state),
            // Its launcher has the name and has not told more yet.
            None => json!({ "name": vm.name.as_str(), "state": "booting" }),
        });
        return print(format_args!("{:#}", json!(states.collect::<Vec<_>>())));
    }
    if found.is_empty() {
        return print("no VM is running");
    }
    let head = ["NAME", "STATE", "PID", "ACCEL", "GPU", "CHANNEL", "SINCE", "READY AFTER"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(found.iter().map(row)).collect();
    let widths: Vec<_> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    print(lines.collect::<Vec<_>>().join("\n"))
}

fn row(vm: &Found) -> [String; 8] {
    let Some(state) = &vm.state else {
        return [vm.name.as_str(), "booting", "", "", "", "", "", ""].map(str::to_owned);
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
    ]
}

pub fn stop(name: Option<&VmName>, all: bool, force: bool) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let vms = folders.vms_path();
    let found = if all { instance::list(&vms) } else { vec![instance::find(&vms, name)?] };
    // The launcher pulls the plug when the guest's time is over.
    let limit = merged_config(&folders, Layer::default())?.poweroff_timeout.value.get();
    let patience = Duration::from_secs(limit + 30);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            found.iter().map(|vm| scope.spawn(|| instance::stop(&vms, vm, force, patience))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
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

pub fn logs(name: &VmName, follow: bool, qemu: bool) -> Result<ExitCode> {
    let vms = Folders::find()?.vms_path();
    let files = Files::new(&vms, name);
    let path = if qemu { files.qemu_log_path() } else { files.console_log_path() };
    let mut log = match File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(Error::bad_input(format!(
                "no VM named {name} has run: there is no {}",
                path.display()
            ))
            .hint("see which run: virtualghost ps"));
        }
        opened => opened.with_context(|| format!("can't read {}", path.display()))?,
    };
    let mut output = io::stdout().lock();
    loop {
        // Asked before the rest is read, so that nothing is missed.
        let runs = follow && instance::running(&vms, name).is_some();
        match pour(&mut log, &mut output) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            copied => copied.with_context(|| format!("can't show {}", path.display()))?,
        }
        if !runs {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    io::copy(from, to)?;
    to.flush()
}

pub fn rm(name: &VmName, yes: bool) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let vms = folders.vms_path();
    let home = Home::at(folders.home_path(name));
    let kept = home.bytes_on_disk();
    if kept.is_none() && !Files::new(&vms, name).console_log_path().exists() {
        return Err(Error::bad_input(format!("there is no VM named {name}, and no home of one"))
            .hint(format!("homes are kept in {}", home.path().parent().unwrap_or(home.path()).display())));
    }
    if instance::running(&vms, name).is_none() && !yes && kept.is_some() && !confirmed(name, &home)? {
        return Err(Error::new(Kind::Failed, format!("{name} stays")));
    }
    instance::remove(&vms, name, || home.remove())?;
    print(format_args!("removed {name}{}", if kept.is_some() { " and its home" } else { "" }))
}

fn confirmed(name: &VmName, home: &Home) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::bad_input(format!("{name} has a home; nobody is there to ask"))
            .hint(format!("to delete it all the same: virtualghost rm --yes {name}")));
    }
    let mib = home.bytes_on_disk().unwrap_or_default() >> 20;
    eprint!("delete {name} and its home, {} ({mib} MiB)? [y/N] ", home.path().display());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub fn ssh(name: Option<&VmName>, root: bool, command: &[OsString]) -> Result<ExitCode> {
    let vm = reachable(name)?;
    let terminal = io::stdin().is_terminal();
    remote::hand_over(remote::ssh(&vm.files.ssh_config_path(), &vm.name, root, terminal, command))
}

pub fn exec(name: Option<&VmName>, root: bool, tty: bool, command: &[OsString]) -> Result<ExitCode> {
    let line = remote::shell_line(command)?;
    let vm = reachable(name)?;
    remote::hand_over(remote::ssh(&vm.files.ssh_config_path(), &vm.name, root, tty, &[line]))
}

fn reachable(name: Option<&VmName>) -> Result<Found> {
    let found = instance::find(&Folders::find()?.vms_path(), name)?;
    remote::check_client()?;
    Ok(found)
}

pub fn cp(paths: &[OsString]) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let ends = paths.iter().map(|path| remote::end(path)).collect::<Result<Vec<_>>>()?;
    let mut guests = ends.iter().filter_map(|end| match end {
        remote::End::Guest(name, _) => Some(name),
        remote::End::Host(_) => None,
    });
    let first = guests.next().ok_or_else(|| {
        Error::bad_input("neither end of the copy is in a VM").hint("write NAME:PATH for a file of a VM's")
    })?;
    for name in std::iter::once(first).chain(guests) {
        instance::find(&folders.vms_path(), Some(name))?;
    }
    remote::check_client()?;
    remote::hand_over(remote::scp(&folders.ssh_config_path(), &ends))
}

pub fn ssh_config(name: Option<&VmName>) -> Result<ExitCode> {
    let vms = Folders::find()?.vms_path();
    let text = match name {
        Some(name) => {
            let executable = std::env::current_exe().context("this program's own path is not known")?;
            config::of_vm(name, &Files::new(&vms, name), &executable)
        }
        None => config::of_all(&vms),
    };
    print_bytes(&text)
}

pub fn proxy(name: &VmName) -> Result<ExitCode> {
    proxy::run(&Folders::find()?.vms_path(), name)?;
    Ok(ExitCode::SUCCESS)
}
