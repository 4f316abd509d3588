//! What a client that is a nuisance can do: nothing to the others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{PATIENCE, Server, noise, read_to_end, wait_until};

#[test]
fn a_client_that_shows_no_key_in_time_is_hung_up() {
    let server = Server::start_with(&crate::support::me().name, &["--auth-timeout", "1"]);
    let mut silent = server.connect();
    let mut talkative = server.connect();
    talkative.write_all(b"SSH-2.0-x\r\n").unwrap();
    assert!(read_to_end(&mut silent).starts_with(b"SSH-2.0-"));
    assert!(read_to_end(&mut talkative).starts_with(b"SSH-2.0-"));
}

#[test]
fn a_session_that_has_shown_its_key_has_no_such_limit() {
    let server = Server::start_with(&crate::support::me().name, &["--auth-timeout", "5"]);
    assert_eq!(server.stdout("sleep 6; echo still here"), "still here\n");
}

#[test]
fn only_so_many_clients_without_a_key_are_served_and_the_others_wait() {
    let server = Server::start_with(&crate::support::me().name, &["--max-unauthenticated", "2"]);
    // One that has shown a key does not count.
    let _master = server.master(&[]);
    let greeting = |stream: &mut TcpStream| stream.read_exact(&mut [0; 8]);
    let mut idle = [server.connect(), server.connect()];
    idle.iter_mut().for_each(|stream| greeting(stream).unwrap());

    let mut third = server.connect();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(greeting(&mut third).is_err());
    drop(idle);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    greeting(&mut third).unwrap();
}

#[test]
fn fifty_clients_at_once_are_all_served() {
    let server = Server::start();
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let mut ssh = server.client("ssh");
            ssh.args(["vm", &format!("echo {number}; read line; echo $line")]);
            ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    // All sessions are there before the first one ends.
    let mut clients: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let mut output = BufReader::new(client.stdout.take().unwrap());
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            (client, output, line)
        })
        .collect();
    for (number, (client, output, line)) in clients.iter_mut().enumerate() {
        assert_eq!(*line, format!("{number}\n"));
        client.stdin.take().unwrap().write_all(b"over\n").unwrap();
        line.clear();
        output.read_line(line).unwrap();
        assert_eq!(line, "over\n");
        assert!(client.wait().unwrap().success());
    }
}

#[test]
fn a_connection_has_only_so_many_channels_at_once() {
    let server = Server::start_with(&crate::support::me().name, &["--max-channels", "2"]);
    let _master = server.master(&[]);
    let session = || {
        let mut ssh = server.client("ssh");
        ssh.args(["vm", "echo; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    };
    let mut open = [session(), session()];
    // Without a way to a connection of its own: ssh would fall back to that.
    let third = server.client("ssh").args(["-o", "ProxyCommand=false", "vm", "true"]).output();
    assert!(!third.unwrap().status.success());
    for child in &mut open {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    wait_until("a free channel", || {
        server.client("ssh").args(["-o", "ProxyCommand=false", "vm", "true"]).status().unwrap().success()
    });
}

#[test]
fn any_number_of_variables_is_taken() {
    let server = Server::start();
    let variables: Vec<_> = (0..500).map(|n| format!("LC_{n}={n}")).collect();
    let set = format!("SetEnv={}", variables.join(" "));
    let output = server.client("ssh").args(["-o", &set, "vm", "env | grep -c ^LC_"]).output().unwrap();
    assert_eq!(output.stdout, b"500\n");
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let mut server = Server::start();
    let noise = noise(1 << 20);
    let greeting = b"SSH-2.0-OpenSSH_9.2\r\n";
    let packet = |length: u32, rest: &[u8]| [greeting, &length.to_be_bytes()[..], rest].concat();
    let cases = [
        noise.clone(),
        vec![0; 1 << 20],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        greeting[..9].to_vec(),
        packet(u32::MAX, &noise[..100]),
        packet(0, &[]),
        packet(1, &[0]),
        packet(12, &[255; 12]),
        // A key exchange whose lists claim to be longer than the packet.
        packet(60, &[&[4, 20][..], &[1; 16], &[0xff; 42]].concat()),
        [&greeting[..], &noise].concat(),
    ];
    for case in cases {
        let mut stream = server.connect();
        let _ = stream.write_all(&case);
        let _ = stream.shutdown(Shutdown::Write);
        read_to_end(&mut stream);
    }
    assert!(server.is_running());
    assert_eq!(server.stdout("echo fine"), "fine\n");
}
