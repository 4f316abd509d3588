//! `exec`: words, environment, folder, streams, exit status, signals.

use crate::support::{Vm, feed, ignore_last_signal, wait_until};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

#[test]
fn words_arrive_as_they_are() {
    let vm = Vm::start();
    assert_eq!(
        vm.exec(&["printf", "%s|", "a  b", "$HOME", "it's", "", "*", "-n", "new\nline"]),
        "a  b|$HOME|it's||*|-n|new\nline|"
    );
    let mut command = vm.command(&["exec", "web", "--", "printf", "%s"]);
    command.arg(OsStr::from_bytes(b"\xff\xfe"));
    assert_eq!(command.output().unwrap().stdout, b"\xff\xfe");
    let long = "x".repeat(100_000);
    assert_eq!(vm.exec(&["printf", "%s", &long, &long]).len(), 200_000);
}

#[test]
fn bytes_pass_unchanged_and_streams_stay_apart() {
    let vm = Vm::start();
    let bytes: Vec<u8> = (0..500_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let output = feed(vm.command(&["exec", "-i", "web", "--", "tee", "/dev/stderr"]), &bytes);
    assert!(output.status.success() && output.stdout == bytes && output.stderr == bytes);
}

#[test]
fn a_program_without_input_reads_none() {
    let vm = Vm::start();
    let output = feed(vm.command(&["exec", "-n", "web", "--", "cat"]), b"not for the program");
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn the_exit_status_is_the_programs_and_for_a_killed_one_128_and_the_signal() {
    let vm = Vm::start();
    let status = |words: &[&str]| vm.run(&[&["exec", "web", "--"], words].concat()).status.code().unwrap();
    for code in [0, 7, 255] {
        assert_eq!(status(&["sh", "-c", &format!("exit {code}")]), code);
    }
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        assert_eq!(status(&["sh", "-c", &format!("kill -{signal} $$")]), code, "{signal}");
    }
    assert_eq!(status(&["no-such-program"]), 127);
    assert_eq!(status(&["/etc"]), 126);
}

#[test]
fn a_program_that_does_not_start_has_a_sentence() {
    let vm = Vm::start();
    for (args, sentence) in [
        (
            &["exec", "web", "--", "no-such-program"][..],
            "no-such-program: there is no such program in the VM\n",
        ),
        (&["exec", "-w", "/no/folder", "web", "--", "true"], "can't enter the folder /no/folder in the VM\n"),
    ] {
        assert_eq!(String::from_utf8(vm.run(args).stderr).unwrap(), sentence);
    }
}

#[test]
fn environment_and_folder_are_the_ones_asked_for() {
    let vm = Vm::start();
    let print = "printf '%s|' \"$GIVEN\" \"$PASSED\" \"${ABSENT-unset}\" \"$LANG\" \"$PWD\"";
    let mut command = vm.command(&["exec", "-e", "GIVEN=a=b c", "-e", "PASSED", "-e", "ABSENT"]);
    command.args(["-e", "LANG=de_DE.UTF-8", "--workdir", "/usr/share", "web", "--", "sh", "-c", print]);
    command.env("PASSED", "\u{e4}\n");
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(printed, "a=b c|\u{e4}\n|unset|de_DE.UTF-8|/usr/share|");
    assert_eq!(vm.exec(&["sh", "-c", "env | grep -c VIRTUALGHOST || true"]), "0\n");
}

#[test]
fn the_terminals_colours_are_known_in_the_vm() {
    let vm = Vm::start();
    let mut command = vm.command(&["exec", "web", "--", "printenv", "COLORTERM"]);
    assert_eq!(command.env("COLORTERM", "truecolor").output().unwrap().stdout, b"truecolor\n");
}

#[test]
fn a_terminal_is_there_if_asked_for() {
    let vm = Vm::start();
    let output = |flags| vm.run(&["exec", flags, "web", "--", "sh", "-c", "test -t 0 && printf 'a\\nb\\n'"]);
    assert_eq!(output("-it").stdout, b"a\r\nb\r\n");
    assert_eq!(output("-i").status.code(), Some(1));
}

#[test]
fn each_signal_reaches_the_program_and_its_answer_arrives() {
    let vm = Vm::start();
    for signal in
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2]
    {
        let _ = fs::remove_file(vm.path("ready"));
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!("trap 'echo caught; exit 9' {name}; READY; while :; do sleep 0.05; done");
        let running = vm.started(&[], &script);
        // Alone, as kill(1) sends it, or to the whole group, as a terminal and timeout(1) do.
        if signal == Signal::SIGTERM {
            running.signal(signal);
        } else {
            running.signal_group(signal);
        };
        let output = running.finish();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(9), &b"caught\n"[..]), "{name}");
    }
}

#[test]
fn a_signal_reaches_the_whole_process_group_of_the_program() {
    let vm = Vm::start();
    let mark = vm.path("child-ended");
    let script = format!(
        "(trap 'touch {0}; exit' TERM; READY; while :; do sleep 0.05; done) & wait; wait",
        mark.display()
    );
    let running = vm.started(&[], &script);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().status.code(), Some(143));
    wait_until("the program's child to be ended", || mark.exists());
}

#[test]
fn a_program_ends_with_its_connection_unless_it_asked_to_live_on() {
    let vm = Vm::start();
    let (hung_up, alive) = (vm.path("hung-up"), vm.path("alive"));
    // It is ready when nohup is; and it prints something in its last moment.
    let lives_on = format!("touch {0}-soon; sleep 1; touch {0}", alive.display());
    let script = format!(
        "trap 'echo late; touch {0}; exit' HUP; nohup sh -c '{lives_on}' >/dev/null 2>&1 &
         until [ -e {1}-soon ]; do sleep 0.05; done; READY; while :; do sleep 0.05; done",
        hung_up.display(),
        alive.display()
    );
    let mut running = vm.started(&[], &script);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    wait_until("the program to be hung up", || hung_up.exists());
    wait_until("the program under nohup to go on", || alive.exists());
}

/// Else a program could not use it: `SIG_IGN` outlives execve(2).
#[test]
fn a_session_ignores_no_signal_that_its_server_ignores() {
    ignore_last_signal();
    let vm = Vm::start();
    let ignored = vm.exec(&["sed", "-n", "s/^SigIgn:[[:space:]]*//p", "/proc/self/status"]);
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored >> (nix::libc::SIGRTMAX() - 1), 0, "{ignored:x}");
}
