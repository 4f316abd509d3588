//! What a boot takes, in counts that no noise moves. The limits are what it took when they were last set, and a little:
//! a change that goes over one either costs too much, or says why and sets a new one.

use crate::vm;
use std::path::Path;

/// Of systemd's units, started before the first prompt was drawn.
const UNITS: u32 = 28;
/// Processes and threads, the kernel's own among them, made before the shell in the terminal.
const PROCESSES: u32 = 120;

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
