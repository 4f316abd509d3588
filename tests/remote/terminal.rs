//! What a terminal gets.

use crate::support::Vm;
use nix::pty::openpty;
use std::fs::{self, File};
use std::io::Read;

const ESCAPES: &[u8] = b"\x1b]0;title\x07\x1b]52;c;QUFB\x07\x1b[2J[  \x1b[32mOK\x1b[0m  ] a\tb\r\nlast";

/// The output of a command on a terminal, which has its input and its errors too.
fn on_a_terminal(vm: &Vm, args: &[&str]) -> Vec<u8> {
    let pty = openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    let mut command = vm.command(args);
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut shown = Vec::new();
    // Once nobody has the other side open, reading fails (EIO).
    let _ = File::from(pty.master).read_to_end(&mut shown);
    child.wait().unwrap();
    shown
}

#[test]
fn a_terminal_gets_logs_without_escape_sequences_and_a_pipe_the_bytes() {
    let vm = Vm::start();
    for (log, flag) in [("console.log", "--console"), ("qemu.log", "--qemu")] {
        fs::write(vm.path("state/virtualghost/vms/web").join(log), ESCAPES).unwrap();
        assert_eq!(vm.run(&["logs", flag, "web"]).stdout, ESCAPES);
        let shown = on_a_terminal(&vm, &["logs", flag, "web"]);
        assert_eq!(String::from_utf8_lossy(&shown), "[  OK  ] a\tb\r\nlast");
        let raw = on_a_terminal(&vm, &["logs", flag, "--raw", "web"]);
        assert!(raw.windows(4).any(|bytes| bytes == b"\x1b]52"), "{raw:?}");
    }
}

#[test]
fn an_error_that_quotes_something_is_clean_on_a_terminal() {
    let vm = Vm::start();
    let shown = on_a_terminal(&vm, &["cp", "a\x1b]0;title\x07:b", "c"]);
    assert!(!shown.contains(&0x1b) && shown.ends_with(b"\n"), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn a_command_over_ssh_has_a_terminal_only_if_it_is_asked_for() {
    let vm = Vm::start();
    let output = on_a_terminal(&vm, &["ssh", "web", "--", "test -t 1 || printf none"]);
    assert_eq!(String::from_utf8_lossy(&output), "none");
    let output = on_a_terminal(&vm, &["ssh", "-t", "web", "--", "test -t 1 && printf there"]);
    assert!(String::from_utf8_lossy(&output).contains("there"), "{output:?}");
}
