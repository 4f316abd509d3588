//! The network's policy, attacked from inside a VM, in a network namespace of the test's own: whatever would get through could
//! go nowhere.

use crate::skipped::skipped;
use crate::vm;
use std::process::Command;

/// The namespace has a loopback interface alone, with an address that others would reach, and a route for everything that leads
/// nowhere else.
const LAY_OUT: &str = r#"
    ip link set lo up && ip address add 192.0.2.5/32 dev lo && ip route add default dev lo src 192.0.2.5 && exec "$@"
"#;

#[test]
fn nothing_leaves_a_vm_that_its_policy_closes() {
    let home = vm::home("network");
    let apart = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", LAY_OUT, "sh"]).args(program);
        vm::set_environment(&mut command, &home);
        command
    };
    if !apart(&["true"]).status().is_ok_and(|status| status.success()) {
        return skipped("boundary", "no network namespace can be made");
    }
    let executable = vm::executable();
    let tried = apart(&[executable.to_str().unwrap(), "doctor", "--boundary"]).output().unwrap();
    let text = String::from_utf8_lossy(&tried.stdout).into_owned();
    println!("{text}");
    assert!(tried.status.success(), "{text}{}", String::from_utf8_lossy(&tried.stderr));
    assert!(text.contains(" held; 0 connections came through"), "{text}");
}
