//! What a boot takes, in counts that no noise moves. The limits are what it took when they were last set, and a little:
//! a change that goes over one either costs too much, or says why and sets a new one.

use crate::vm;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Of systemd's units, started before the first prompt was drawn.
const UNITS: u32 = 28;
/// Processes and threads, the kernel's own among them, made before the shell in the terminal.
const PROCESSES: u32 = 120;

/// Of QEMU's writes to files and sockets, a second, while nobody does anything. To ask the X server twice, each time that
/// it looks for something to draw, takes 66.
const WRITES: u32 = 40;

const COUNT: &str = r#"
    drawn=$(date -r /run/user/1000/virtualghost-ready +%s%6N)
    now=$(date +%s%6N)
    read -r up _ </proc/uptime
    systemctl show '*' -P InactiveExitTimestampMonotonic |
        awk -v drawn=$((${up%.*}${up#*.}0000 - now + drawn)) '$1 && $1 <= drawn {units++} END {print units}'
    pgrep -o -u ghost -x bash
"#;

/// Of the VM whose home is `home`, after its first prompt.
pub fn assert_no_more_than_before(home: &Path) {
    let output = vm::command(home).args(["exec", "--root", "--", "sh", "-c", COUNT]).output().unwrap();
    let counts = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<u32> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    let [units, processes] = counts[..] else { panic!("{output:?}") };
    println!("until the first prompt: {units} units started, {processes} processes made");
    for (what, count, limit) in [("units", units, UNITS), ("processes", processes, PROCESSES)] {
        assert!(
            count <= limit,
            "until the first prompt there are {count} {what}, where {limit} were enough: find out which are new \
             (scripts/boot-chart), or set another limit in tests/boot/counts.rs and say why"
        );
    }
}

/// Of a QEMU whose guest is at its prompt, once what was started with that is done. On a busy machine there are fewer,
/// never more.
pub fn assert_rests(qemu: u32) {
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
    println!("at the prompt, more writes of QEMU's a second than {WRITES}, until it rested: {seen:?}");
    assert!(
        seen.len() < 20,
        "QEMU always writes more than {WRITES} times a second: does it ask the X server each time that it looks for \
         something to draw (assets/qemu/window.c)? {seen:?}"
    );
}
