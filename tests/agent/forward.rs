//! Forwarded sockets, each way.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;

use crate::support::{Server, noise, read_to_end, wait_until};

/// Answers each connection with what came, once its end has come.
fn echo_tcp() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    });
    port
}

fn echoes(mut stream: TcpStream) {
    let bytes = noise(3 << 20);
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&mut stream) == bytes);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_port_in_the_guest_is_reached_from_the_host() {
    let server = Server::start();
    let (echo, local) = (echo_tcp(), free_port());
    let _master = server.master(&["-L", &format!("{local}:localhost:{echo}")]);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| echoes(TcpStream::connect(("127.0.0.1", local)).unwrap()));
        }
    });
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let server = Server::start();
    let target = format!("127.0.0.1:{}", free_port());
    let output = server.client("ssh").args(["-W", &target, "vm"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("forwarding failed"), "{output:?}");
}

#[test]
fn a_port_in_the_host_is_reached_from_the_guest_until_it_is_cancelled() {
    let server = Server::start();
    let master = server.master(&[]);
    let forward = format!("0:127.0.0.1:{}", echo_tcp());
    let open = server.client("ssh").args(["-O", "forward", "-R", &forward, "vm"]).output().unwrap();
    let port: u16 = String::from_utf8(open.stdout).unwrap().trim().parse().unwrap();
    echoes(TcpStream::connect(("127.0.0.1", port)).unwrap());

    assert!(master.control_with("cancel", &["-R", &forward]));
    wait_until("the port to be closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_port_that_is_taken_is_not_forwarded() {
    let server = Server::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("{}:127.0.0.1:1", taken.local_addr().unwrap().port());
    let output = server.client("ssh").args(["-N", "-R", &forward, "vm"]).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn a_unix_socket_in_the_guest_is_reached_from_the_host() {
    let server = Server::start();
    let (here, there) = (server.path("here"), server.path("there"));
    let listener = UnixListener::bind(&there).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(b"pong").unwrap();
    });
    let _master = server.master(&["-L", &format!("{}:{}", here.display(), there.display())]);
    ping_pong(UnixStream::connect(&here).unwrap(), b"ping", b"pong");
}

#[test]
fn a_unix_socket_in_the_host_is_reached_from_the_guest_and_its_file_goes_with_the_connection() {
    let server = Server::start();
    let (here, there) = (server.path("here"), server.path("there"));
    let listener = UnixListener::bind(&here).unwrap();
    let master = server.master(&["-R", &format!("{}:{}", there.display(), here.display())]);
    wait_until("the socket", || there.exists());
    let client = UnixStream::connect(&there).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"pong").unwrap();
    ping_pong(client, b"ping", b"pong");
    drop(master);
    wait_until("the socket's file to go", || !there.exists());
}

fn ping_pong(mut stream: UnixStream, ping: &[u8], pong: &[u8]) {
    stream.write_all(ping).unwrap();
    let mut word = vec![0; pong.len()];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(word, pong);
}

#[test]
fn a_file_that_is_in_the_way_of_a_socket_is_not_touched() {
    let server = Server::start();
    fs::write(server.path("there"), "mine").unwrap();
    let forward = format!("{}:/nonexistent", server.path("there").display());
    let mut ssh = server.client("ssh");
    let output = ssh.args(["-N", "-R", &forward, "vm"]).stderr(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read_to_string(server.path("there")).unwrap(), "mine");
}

#[test]
fn the_clients_agent_is_never_forwarded() {
    let server = Server::start();
    let output = server.client("ssh").args(["-A", "vm", "echo \"[$SSH_AUTH_SOCK]\""]).output().unwrap();
    assert_eq!(output.stdout, b"[]\n");
}
