//! Commands without a terminal.

use std::fs::{self, File};
use std::process::Stdio;

use crate::support::{Server, me, noise, wait_until};

#[test]
fn the_exit_status_is_the_commands() {
    let server = Server::start();
    for status in [0, 1, 7, 255] {
        assert_eq!(server.run(&format!("exit {status}")).status.code(), Some(status));
    }
}

#[test]
fn a_command_that_a_signal_killed_is_reported_with_the_signal() {
    let server = Server::start();
    for signal in ["TERM", "KILL", "SYS"] {
        let line = format!("kill -{signal} $$");
        let output = server.client("ssh").args(["-o", "LogLevel=DEBUG2", "vm", &line]).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{signal}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("rtype exit-signal"), "{output:?}");
    }
}

#[test]
fn input_output_and_errors_are_apart_and_clean() {
    let server = Server::start();
    let bytes = noise(64 << 20);
    fs::write(server.path("in"), &bytes).unwrap();
    let mut ssh = server.client("ssh");
    ssh.args(["vm", "tee /dev/stderr"]).stdin(File::open(server.path("in")).unwrap());
    ssh.stdout(File::create(server.path("out")).unwrap()).stderr(File::create(server.path("err")).unwrap());
    assert!(ssh.status().unwrap().success());
    assert!(fs::read(server.path("out")).unwrap() == bytes, "standard output differs");
    assert!(fs::read(server.path("err")).unwrap() == bytes, "standard error differs");
}

#[test]
fn new_keys_in_the_middle_of_a_transfer_disturb_nothing() {
    let server = Server::start();
    let bytes = noise(16 << 20);
    fs::write(server.path("in"), &bytes).unwrap();
    for cipher in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"] {
        let mut ssh = server.client("ssh");
        ssh.args(["-c", cipher, "-o", "RekeyLimit=4M", "vm", "cat"]);
        let output = ssh.stdin(File::open(server.path("in")).unwrap()).output().unwrap();
        assert!(output.status.success(), "{cipher}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == bytes, "{cipher}");
    }
}

#[test]
fn a_client_that_asks_whether_the_server_is_alive_is_answered() {
    let server = Server::start();
    let mut ssh = server.client("ssh");
    ssh.args(["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "vm", "sleep 4; echo slept"]);
    assert_eq!(ssh.output().unwrap().stdout, b"slept\n");
}

#[test]
fn the_end_of_the_input_is_not_the_end_of_the_session() {
    let server = Server::start();
    fs::write(server.path("in"), "some\n").unwrap();
    let mut ssh = server.client("ssh");
    ssh.args(["vm", "cat; echo done"]).stdin(File::open(server.path("in")).unwrap());
    assert_eq!(ssh.output().unwrap().stdout, b"some\ndone\n");
}

#[test]
fn output_comes_while_the_input_waits() {
    let server = Server::start();
    let bytes = noise(16 << 20);
    fs::write(server.path("in"), &bytes).unwrap();
    let mut ssh = server.client("ssh");
    // Far more output than fits in any window before the first byte of the input is read.
    ssh.args(["vm", "head -c 50000000 /dev/zero; cat"]).stdin(File::open(server.path("in")).unwrap());
    let output = ssh.output().unwrap();
    assert_eq!(output.stdout.len(), 50_000_000 + bytes.len());
    assert!(output.stdout[50_000_000..] == bytes);
}

#[test]
fn a_command_that_does_not_read_stops_only_its_own_input() {
    let server = Server::start();
    let _master = server.master(&[]);
    let length = 64 << 20;
    fs::write(server.path("in"), noise(length)).unwrap();
    let go = server.path("go");
    let line = format!("until [ -e '{}' ]; do sleep 0.1; done; wc -c", go.display());
    let mut ssh = server.client("ssh");
    ssh.args(["vm", &line]).stdin(File::open(server.path("in")).unwrap()).stdout(Stdio::piped());
    let stuck = ssh.spawn().unwrap();
    // The same connection serves others meanwhile, with input of their own.
    for round in 0..20 {
        let line = format!("echo {round} | cat; head -c 1000000 /dev/zero");
        assert_eq!(server.run(&line).stdout.len(), 1_000_000 + format!("{round}\n").len());
    }
    fs::write(&go, "").unwrap();
    let output = stuck.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), length.to_string());
    assert!(server.peak_memory() < 64 << 10, "{} KiB", server.peak_memory());
}

#[test]
fn input_that_nobody_wants_does_not_hold_the_session() {
    let server = Server::start();
    fs::write(server.path("in"), noise(8 << 20)).unwrap();
    let mut ssh = server.client("ssh");
    ssh.args(["vm", "exec <&-; echo done"]).stdin(File::open(server.path("in")).unwrap());
    assert_eq!(ssh.output().unwrap().stdout, b"done\n");
}

#[test]
fn a_command_runs_in_the_users_home_and_environment() {
    let (server, me) = (Server::start(), me());
    let home = me.dir.display();
    assert_eq!(server.stdout("pwd; echo $HOME"), format!("{home}\n{home}\n"));
    let names = format!("{0} {0} {1} {2}\n", me.name, me.shell.display(), me.uid);
    assert_eq!(server.stdout("echo $USER $LOGNAME $SHELL $(id -u)"), names);
    assert!(server.stdout("echo $SSH_CONNECTION").starts_with("127.0.0.1 "));
    assert_eq!(server.stdout("env | grep -c -e CREDENTIALS -e CARGO || true").trim(), "0");
}

#[test]
fn only_the_language_and_what_the_terminal_can_do_are_taken_from_the_client() {
    let server = Server::start();
    let mut ssh = server.client("ssh");
    ssh.args(["-o", "SetEnv=LC_TEST=a LANG=b COLORTERM=c LD_PRELOAD=d PATH=e", "vm"]);
    ssh.arg("echo $LC_TEST $LANG $COLORTERM $LD_PRELOAD; command -v id");
    let output = String::from_utf8(ssh.output().unwrap().stdout).unwrap();
    assert!(output.starts_with("a b c\n/"), "{output}");
}

#[test]
fn a_shell_without_a_terminal_is_a_login_shell_that_reads_its_input() {
    let server = Server::start();
    fs::write(server.path("in"), "echo \"argv0=$0\"\nexit 3\n").unwrap();
    let mut ssh = server.client("ssh");
    let output = ssh.arg("vm").stdin(File::open(server.path("in")).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("argv0=-"), "{output:?}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn twenty_sessions_share_a_connection() {
    let server = Server::start();
    let _master = server.master(&[]);
    let sessions: Vec<_> = (0..20)
        .map(|number: usize| {
            let bytes = noise(1 << 20)[number..].to_vec();
            fs::write(server.path(&format!("in{number}")), &bytes).unwrap();
            let mut ssh = server.client("ssh");
            ssh.args(["vm", &format!("cat; exit {number}")]).stdout(Stdio::piped());
            ssh.stdin(File::open(server.path(&format!("in{number}"))).unwrap());
            (number as i32, bytes, ssh.spawn().unwrap())
        })
        .collect();
    for (number, bytes, session) in sessions {
        let output = session.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(number));
        assert!(output.stdout == bytes, "session {number}");
    }
}

#[test]
fn a_background_command_outlives_its_session_and_one_that_holds_the_output_holds_it() {
    let server = Server::start();
    let mark = server.path("mark");
    let later = format!("(sleep 1; touch '{}') >/dev/null 2>&1 </dev/null & echo here", mark.display());
    assert_eq!(server.stdout(&later), "here\n");
    wait_until("the background command", || mark.exists());
    assert_eq!(server.stdout("(sleep 1; echo late) & echo soon"), "soon\nlate\n");
}

/// What the control port reports, for every user of the guest.
#[test]
fn how_the_session_fares_is_a_subsystem() {
    let server = Server::start();
    let output = server.client("ssh").args(["-s", "vm", "status"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let terminal_and_load = "\",\"terminal\":null,\"load\":[";
    assert!(
        said.starts_with("{\"session\":\"") && said.contains(terminal_and_load) && said.ends_with("]}\n"),
        "{said}"
    );
}
