//! A launcher that is killed leaves no process behind: QEMU and the network's process end with it.

use crate::{EXECUTABLE, Home, TCG};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Against hanging only.
const LONG: Duration = Duration::from_secs(30);

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What stands behind the name in /proc/PID/stat: the state, the parent (proc_pid_stat(5)). None for a process that has ended.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    let (state, parent) = (words.next()?, words.next()?.parse().ok()?);
    (state != "Z").then(|| (state.to_owned(), parent))
}

fn children(of: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == of)).collect()
}

fn is_network(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    program.is_ok_and(|program| program == Path::new(EXECUTABLE))
        && line.split(|byte| *byte == 0).any(|word| word == b"net-peer")
}

#[test]
fn the_network_and_qemu_end_with_a_launcher_that_is_killed() {
    let home = Home::new(&["-machine||hang"]);
    let mut launcher = home.command(TCG).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut processes = Vec::new();
    eventually("QEMU and its network are started", || {
        processes = children(launcher.id());
        processes.len() >= 2 && processes.iter().any(|pid| is_network(*pid))
    });
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    eventually("both end", || processes.iter().all(|pid| stat(*pid).is_none()));
}
