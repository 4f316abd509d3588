//! Sessions with a terminal: ssh itself runs in one, whose master side is the test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::libc;
use nix::pty::{Winsize, openpty};

use crate::support::{PATIENCE, Server, wait_until};

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, Winsize);

struct Window {
    master: File,
    output: Receiver<Vec<u8>>,
    seen: String,
    ssh: Child,
}

impl Window {
    fn open(server: &Server, options: &[&str], line: &str) -> Self {
        Self::of_terminal("vt100", server, options, line)
    }

    fn of_terminal(term: &str, server: &Server, options: &[&str], line: &str) -> Self {
        let pty = openpty(&size(24, 80), None).unwrap();
        let slave = File::from(pty.slave);
        let mut ssh = server.client("ssh");
        ssh.arg("-t").args(options).args(["vm", line]).env("TERM", term);
        ssh.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        // SAFETY: two system calls between fork and exec.
        unsafe {
            ssh.pre_exec(|| {
                nix::unistd::setsid()?;
                if libc::ioctl(0, libc::TIOCSCTTY, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let ssh = ssh.spawn().unwrap();
        let master = File::from(pty.master);
        let (sender, output) = channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { master, output, seen: String::new(), ssh }
    }

    fn expect(&mut self, text: &str) {
        let start = Instant::now();
        while !self.seen.contains(text) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let more = self.output.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        // SAFETY: the size lives through the call.
        unsafe { set_window_size(self.master.as_raw_fd(), &size(rows, columns)).unwrap() };
    }

    fn status(&mut self) -> Option<i32> {
        self.ssh.wait().unwrap().code()
    }
}

fn size(ws_row: u16, ws_col: u16) -> Winsize {
    Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn a_terminal_has_the_windows_size_and_follows_it() {
    let server = Server::start();
    let wait = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut window = Window::open(&server, &[], wait);
    window.expect("24 80");
    window.expect("ready");
    window.resize(31, 97);
    window.expect("31 97");
    assert_eq!(window.status(), Some(4));
}

#[test]
fn a_terminal_is_the_controlling_one_of_its_session_and_carries_its_name_and_modes() {
    let server = Server::start();
    let line =
        "[ \"$(tty)\" = \"$SSH_TTY\" ] && echo \"$TERM $LC_TEST\" && : >/dev/tty && stty -a | tr ';' '\\n'";
    let mut window = Window::open(&server, &["-o", "SetEnv=LC_TEST=yes"], line);
    window.expect("vt100 yes");
    window.expect("intr = ^C");
    window.expect(" icanon ");
    assert_eq!(window.status(), Some(0));
}

#[test]
fn a_terminal_that_the_guest_does_not_know_becomes_a_common_one_and_the_user_is_told() {
    let server = Server::start();
    let mut window = Window::of_terminal("mine-since-today", &server, &[], "echo \"TERM: $TERM\"");
    window.expect("\"mine-since-today\", so TERM is xterm-256color\r\nTERM: xterm-256color\r\n");
    assert_eq!(window.status(), Some(0));
}

#[test]
fn the_interrupt_key_reaches_the_program_in_front() {
    let server = Server::start();
    // Not one long sleep: a signal before it starts is handled only when it has ended.
    let wait = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let mut window = Window::open(&server, &[], wait);
    window.expect("ready");
    window.type_in("\x03");
    window.expect("caught");
    assert_eq!(window.status(), Some(5));
}

#[test]
fn the_end_of_input_key_and_the_end_of_the_input_both_end_a_reader() {
    let server = Server::start();
    let mut window = Window::open(&server, &[], "cat; echo over");
    window.type_in("line\n");
    window.expect("line\r\nline\r\n");
    window.type_in("\x04");
    window.expect("over");
    assert_eq!(window.status(), Some(0));

    let output = server.client("ssh").args(["-tt", "vm", "cat; echo over"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("over"), "{output:?}");
}

#[test]
fn the_last_output_arrives_even_if_something_in_the_background_keeps_the_terminal() {
    let server = Server::start();
    let mut ssh = server.client("ssh");
    ssh.args(["-tt", "vm", "nohup sleep 1000 & seq 100000; kill $!; nohup sleep 5 & echo last; exit 6"]);
    let output = ssh.stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("100000\r\n") && text.contains("last\r\n"), "{}", &text[text.len() - 200..]);
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn a_client_that_goes_away_hangs_up_its_terminal() {
    let server = Server::start();
    let mark = server.path("hung-up");
    let line = format!("trap 'touch {}; exit' HUP; echo ready; while :; do sleep 0.05; done", mark.display());
    let mut window = Window::open(&server, &[], &line);
    window.expect("ready");
    window.ssh.kill().unwrap();
    window.ssh.wait().unwrap();
    wait_until("the program to be hung up", || mark.exists());
}

#[test]
fn a_login_shell_runs_in_a_terminal() {
    let server = Server::start();
    let mut window = Window::open(&server, &[], "exec \"$SHELL\" -l");
    window.type_in("echo $((6 * 7))\n");
    window.expect("42");
    window.type_in("exit 8\n");
    assert_eq!(window.status(), Some(8));
}
