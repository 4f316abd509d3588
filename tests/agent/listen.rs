//! Where the agent listens.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::libc;

use crate::support::{Server, me};

/// The way of sd_listen_fds(3): descriptor 3, and the environment has the process it is for.
#[test]
fn sockets_that_systemd_opened_are_served() {
    let mut server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = listener.as_raw_fd();
    let mut agent = Command::new("/bin/sh");
    agent.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ghostly-agent")]);
    agent.args(["--user", &me().name]).env("CREDENTIALS_DIRECTORY", server.path("credentials"));
    // SAFETY: one system call between fork and exec. A descriptor that is 3 already only has to stay open.
    unsafe {
        agent.pre_exec(move || {
            let done = if passed == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(passed, 3) };
            if done == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    let agent = agent.stderr(Stdio::null()).spawn().unwrap();
    server.replace(agent, listener.local_addr().unwrap());
    drop(listener);
    // The socket was open before the agent was: the client waits for it.
    assert_eq!(server.stdout("echo $SSH_CONNECTION | wc -w").trim(), "4");
    assert_eq!(server.stdout("ls -l /proc/self/fd | grep -c socket || true").trim(), "0");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let server = Server::start();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_ghostly-agent"));
    agent.args(["--user", &me().name, "--credentials"]).arg(server.path("credentials"));
    let output = agent.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"), "{output:?}");
}
