//! The cost of a boot in counts, which do not depend on the machine's load. Each limit is a little above the count when it
//! was set. A change that exceeds one costs too much, or sets a new limit with the reason.

use crate::vm;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// systemd units that are started before the first prompt is drawn.
const UNITS: u32 = 28;
/// Processes and threads before the shell in the terminal, the kernel's included.
const PROCESSES: u32 = 120;

/// QEMU's writes to files and sockets per second while the guest is idle. Two requests to the X server at each refresh of
/// the window are 66.
const WRITES: u32 = 40;

const COUNT: &str = r#"
    drawn=$(date -r /run/user/1000/virtualghost-ready +%s%6N)
    now=$(date +%s%6N)
    read -r up _ </proc/uptime
    systemctl show '*' -P InactiveExitTimestampMonotonic |
        awk -v drawn=$((${up%.*}${up#*.}0000 - now + drawn)) '$1 && $1 <= drawn {units++} END {print units}'
    pgrep -o -u ghost -x bash
"#;

/// For the VM in `home`, after its first prompt.
pub fn assert_counts(home: &Path) {
    let output = vm::command(home).args(["exec", "--root", "--", "sh", "-c", COUNT]).output().unwrap();
    let counts = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<u32> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    let [units, processes] = counts[..] else { panic!("{output:?}") };
    println!("until the first prompt: {units} units, {processes} processes");
    for (what, count, limit) in [("units", units, UNITS), ("processes", processes, PROCESSES)] {
        assert!(
            count <= limit,
            "{count} {what} until the first prompt, the limit is {limit}: find the new ones with scripts/boot-chart, \
             or set another limit in tests/boot/counts.rs with the reason"
        );
    }
}

/// For a QEMU whose guest is at its prompt. Waits until what was started with the session has ended. On a busy machine
/// there are fewer writes, never more.
pub fn assert_idle(qemu: u32) {
    const SECONDS: u32 = 3;
    let writes = || {
        // proc_pid_io(5)
        let io = fs::read_to_string(format!("/proc/{qemu}/io")).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("syscw:")).unwrap();
        line.trim().parse::<u32>().unwrap()
    };
    let a_second = (0..20).map(|_| {
        let before = writes();
        std::thread::sleep(Duration::from_secs(SECONDS.into()));
        (writes() - before) / SECONDS
    });
    let seen: Vec<_> = a_second.take_while(|&count| count > WRITES).collect();
    println!("writes of QEMU per second above {WRITES} before it was idle: {seen:?}");
    assert!(
        seen.len() < 20,
        "QEMU always writes more than {WRITES} times a second; perhaps it sends requests to the X server at each \
         refresh of the window (assets/qemu/window.c): {seen:?}"
    );
}
