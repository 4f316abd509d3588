//! What a guest that has taken over QEMU would try. Each attack prints on standard error how it ended, on one line:
//! `NAME: done` or `NAME: ERROR`.

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;

/// `text`: the name of an attack, and after a colon what it attacks.
pub fn attack(text: &str) {
    let (name, target) = text.split_once(':').unwrap_or((text, ""));
    match result(name, target) {
        Ok(()) => eprintln!("{name}: done"),
        Err(e) => eprintln!("{name}: {e}"),
    }
}

fn result(name: &str, target: &str) -> io::Result<()> {
    let pid = Pid::from_raw(target.parse().unwrap_or_default());
    match name {
        "read" => fs::read(target).map(drop),
        "list" => fs::read_dir(target).map(drop),
        "write" => File::options().write(true).open(target).map(drop),
        "create" => fs::write(target, "x"),
        "remove" => fs::remove_file(target),
        "remount" => {
            const NONE: Option<&str> = None;
            Ok(mount(NONE, target, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)?)
        }
        "link" => fs::hard_link(target, format!("{target}-2")),
        "run" => Command::new(target).arg("-c").arg("exit").status().map(drop),
        "connect" => TcpStream::connect(target).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "send" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "abstract" => UnixStream::connect_addr(&SocketAddr::from_abstract_name(target)?).map(drop),
        "socket" => UnixStream::connect(target).map(drop),
        "signal" => Ok(kill(pid, Signal::SIGCONT)?),
        // SAFETY: numbers; the process continues to run (PTRACE_SEIZE), and is let go when this one ends.
        "trace" => call(unsafe { libc::ptrace(libc::PTRACE_SEIZE, getppid().as_raw(), 0, 0) }),
        "memory" => fs::read(format!("/proc/{}/maps", getppid())).map(drop),
        // SAFETY: each has no valid arguments, and fails in another way where it is allowed.
        "system-call" => call(unsafe { libc::syscall(target.parse().expect("a number"), -1, 0, 0, 0, 0, 0) }),
        other => panic!("no such attack: {other}"),
    }
}

fn call(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
