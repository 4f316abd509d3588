//! What a terminal gets.

use crate::support::Vm;
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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

/// With and without a terminal in the VM; a pipe gets the bytes as they are.
#[test]
fn what_a_program_prints_changes_only_the_screen_of_a_terminal() {
    let vm = Vm::start();
    let script = r"printf '\033]52;c;QUFB\007\033[6n\033[32mgreen\033[0m\n'; printf '\033]0;title\007error\n' >&2; exit 3";
    let exec = |flags: &[&'static str]| [&["exec", "web"], flags, &["--", "sh", "-c", script]].concat();
    let ssh = |flags: &[&'static str]| [&["ssh"], flags, &["web", "--", script]].concat();
    for words in [exec(&[]), exec(&["-t"]), ssh(&[]), ssh(&["-t"])] {
        // ssh may have left the terminal as it was before the last line is shown.
        let shown = String::from_utf8(on_a_terminal(&vm, &words)).unwrap().replace("\r\r\n", "\r\n");
        assert!(
            shown.contains("\x1b[32mgreen\x1b[0m\r\n") && shown.contains("error\r\n"),
            "{words:?}: {shown:?}"
        );
        assert!(!["\x1b]", "\x1b[6n"].iter().any(|bad| shown.contains(bad)), "{words:?}: {shown:?}");
        let piped = vm.run(&words);
        assert!(piped.stdout.starts_with(b"\x1b]52;c;QUFB\x07\x1b[6n"), "{words:?}: {piped:?}");
        assert_eq!(piped.status.code(), Some(3), "{words:?}");
    }
    for words in [exec(&["-t", "--raw"]), ssh(&["--raw"])] {
        let shown = String::from_utf8(on_a_terminal(&vm, &words)).unwrap();
        assert!(shown.contains("\x1b]52;c;QUFB\x07\x1b[6n"), "{words:?}: {shown:?}");
    }
}

#[test]
fn a_request_to_stop_ends_ssh_with_the_status_that_shells_expect() {
    let vm = Vm::start();
    let pty = openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    let mut command = vm.command(&["ssh", "web", "--", "echo started; sleep 600"]);
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    drop(command);
    let (mut master, mut shown) = (File::from(pty.master), Vec::new());
    while !shown.ends_with(b"started\r\n") {
        let mut byte = [0];
        master.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
