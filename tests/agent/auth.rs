//! Who gets in.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};

use crate::support::{Server, me, noise, read_to_end};

/// Another account than the one that runs the test, if there can be sessions of another one at all.
fn somebody() -> String {
    if me().uid.is_root() { "daemon".to_owned() } else { me().name }
}

fn try_key(server: &Server, key: &str, user: &str) -> Output {
    let identity = format!("IdentityFile={}", server.path(key).display());
    let config = server.path("config");
    let config = fs::read_to_string(&config).unwrap().replace("IdentityFile", "#");
    fs::write(server.path("bare"), config).unwrap();
    let mut sftp = Command::new("sftp");
    sftp.arg("-F").arg(server.path("bare")).args(["-b", "/dev/null", "-o", &identity]);
    sftp.args(["-o", &format!("User={user}"), "vm"]).output().unwrap()
}

fn is_refused(output: &Output) -> bool {
    !output.status.success()
        && String::from_utf8_lossy(&output.stderr).contains("Permission denied (publickey)")
}

#[test]
fn a_key_opens_sessions_of_its_own_user_and_of_nobody_else() {
    let user = somebody();
    let server = Server::start_with(&user, &[]);
    let admitted = [("user", user.as_str()), ("root", "root")];
    for key in ["user", "root", "stranger", "host", "no-such-file"] {
        for name in [user.as_str(), "root", "nobody", "no-such-user"] {
            let output = try_key(&server, key, name);
            if admitted.contains(&(key, name)) {
                assert!(!is_refused(&output), "{key} as {name}: {output:?}");
                // A server that is not root itself can authenticate root, and can't do anything for it.
                assert_eq!(output.status.success(), me().uid.is_root() || name == user, "{output:?}");
            } else {
                assert!(is_refused(&output), "{key} as {name}: {output:?}");
            }
        }
    }
}

#[test]
fn the_keys_of_another_vm_are_refused_and_so_is_the_other_vm() {
    let (ours, other) = (Server::start(), Server::start());
    fs::copy(other.path("user"), ours.path("their-key")).unwrap();
    assert!(is_refused(&try_key(&ours, "their-key", &ours.user)));

    let pins = fs::read_to_string(ours.path("known_hosts")).unwrap();
    let pins = pins.replace(&format!(":{}", ours.address.port()), &format!(":{}", other.address.port()));
    fs::write(other.path("known_hosts"), pins).unwrap();
    let output = other.run("true");
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("HOST IDENTIFICATION HAS CHANGED"));
}

#[test]
fn no_method_but_a_public_key_is_offered() {
    let server = Server::start();
    for method in ["none", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic"] {
        let prefer = format!("PreferredAuthentications={method}");
        let output = server.client("ssh").args(["-o", &prefer, "vm", "true"]).output().unwrap();
        assert!(is_refused(&output), "{method}: {output:?}");
    }
}

#[test]
fn a_recorded_session_can_not_be_played_again() {
    let server = Server::start();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let via = proxy.local_addr().unwrap().port();
    let target = server.address;
    let record = std::thread::spawn(move || {
        let (mut client, _) = proxy.accept().unwrap();
        let mut upstream = TcpStream::connect(target).unwrap();
        let (mut back, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let (mut sent, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            sent.extend(&buffer[..length]);
            upstream.write_all(&buffer[..length]).unwrap();
        }
        sent
    });
    let mark = server.path("mark");
    let alias = format!("HostKeyAlias=[{}]:{}", target.ip(), target.port());
    let touch = format!("touch '{}'", mark.display());
    let mut ssh = server.client("ssh");
    ssh.args(["-p", &via.to_string(), "-o", &alias, "vm", &touch]);
    assert!(ssh.status().unwrap().success());
    let sent = record.join().unwrap();
    assert!(mark.exists());

    fs::remove_file(&mark).unwrap();
    let mut again = server.connect();
    let _ = again.write_all(&sent);
    let _ = again.shutdown(Shutdown::Write);
    read_to_end(&mut again);
    assert!(!mark.exists());
}

#[test]
fn without_its_credentials_the_agent_says_which_one_is_missing() {
    let server = Server::start();
    let start = |folder: &str| {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_ghostly-agent"));
        agent.args(["--listen", "tcp:127.0.0.1:0", "--user", &server.user, "--credentials", folder]);
        let output = agent.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let credentials = server.path("credentials");
    let folder = credentials.to_str().unwrap();
    assert!(start("/nonexistent").contains("/nonexistent/ghostly.host-key"));
    for name in ["ghostly.authorized-root", "ghostly.authorized-user", "ghostly.host-key"] {
        fs::write(credentials.join(name), "\n").unwrap();
        assert!(start(folder).contains(name), "an empty {name}");
        fs::write(credentials.join(name), noise(100)).unwrap();
        assert!(start(folder).contains(name), "a damaged {name}");
        fs::remove_file(credentials.join(name)).unwrap();
        assert!(start(folder).contains(name), "no {name}");
    }
}
