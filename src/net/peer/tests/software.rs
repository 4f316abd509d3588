//! What people run in a VM, as the guest of a namespace (`programs`): each against a real server. A program that is not
//! installed is counted as skipped; `tests/lab/network.sh` installs them all, and runs those that take minutes.

use super::programs::{Ended, as_guest, bytes, eventually, is_apart_for, scene};
use super::*;
use crate::testing::skipped;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SSH: &str = "203.0.113.7:22";
const HTTPS: &str = "203.0.113.7:443";

fn is_apart(test: &str) -> bool {
    is_apart_for(module_path!(), test)
}

/// Runs `script` in this folder with bash; `$1` is `argument`.
fn bash(folder: &Path, script: &str, argument: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script, "bash", argument]).current_dir(folder);
    command
        .env_remove("GIT_SSL_CAINFO")
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    for (who, name) in [("AUTHOR", "a"), ("COMMITTER", "c")] {
        command.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), "a@example.com");
    }
    command
}

fn text(done: Output) -> String {
    let text = [done.stdout, b"\n".to_vec(), done.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(done.status.success(), "{text}");
    text
}

/// Does this in the folder, on the host.
fn prepare(folder: &Path, script: &str) {
    text(bash(folder, script, "").output().unwrap());
}

/// A server that listens on the port `$1` of 127.0.0.1; where it is.
fn serve(folder: &Path, script: &str) -> (Ended, SocketAddr) {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = bash(folder, &format!("exec {script}"), &place.port().to_string());
    let server = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("the server listens", || TcpStream::connect(place));
    (server, place)
}

/// What the script prints in the guest, for which the server has the address `from`.
fn in_guest(folder: &Path, from: &str, place: SocketAddr, script: &str) -> String {
    let scene = scene(&[(from, place)]);
    text(as_guest(scene.cable(), || bash(folder, script, "").output().unwrap()))
}

/// Whether one of these programs is missing; then the test is counted as skipped.
fn lacks(test: &str, programs: &[&str]) -> bool {
    let has = |program: &str| {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        path.split(':').any(|folder| Path::new(folder).join(program).exists())
    };
    let Some(missing) = programs.iter().find(|program| !has(program)) else { return false };
    skipped(test, &format!("no {missing}"));
    true
}

const REPOSITORY: &str =
    "git init -q work && cd work && head -c 5000000 /dev/urandom >file && git add file &&
    git commit -qm first && cd .. && git clone -q --bare work bare.git && git -C bare.git update-server-info";
const CERTIFICATE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 2 \
    -subj /CN=test -addext subjectAltName=IP:203.0.113.7";
const SAME: &str = "git -C clone fsck --full && cmp work/file clone/file && echo the same";

#[test]
fn git_clones_over_https() {
    const NAME: &str = "git_clones_over_https";
    if lacks(NAME, &["git", "openssl", "python3"]) || !is_apart(NAME) {
        return;
    }
    const SERVER: &str = r#"python3 -c '
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("certificate", "key")
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()' "$1""#;
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), REPOSITORY);
    prepare(folder.path(), CERTIFICATE);
    let (_server, place) = serve(folder.path(), SERVER);
    let clone = "git -c http.sslCAInfo=$PWD/certificate clone -q https://203.0.113.7/bare.git clone";
    assert!(in_guest(folder.path(), HTTPS, place, &format!("{clone} && {SAME}")).contains("the same"));
}

#[test]
fn git_clones_and_pushes_over_ssh() {
    const NAME: &str = "git_clones_and_pushes_over_ssh";
    if lacks(NAME, &["git", "ssh", "sshd"]) || !is_apart(NAME) {
        return;
    }
    // The server runs as a user of this machine that only it sees: as root it would change to others, which a namespace
    // of one user has not.
    const SERVER: &str = r#"unshare --user --map-root-user --mount bash -c '
        mount --bind passwd /etc/passwd &&
        sshd=$(PATH=$PATH:/usr/sbin command -v sshd) &&
        exec unshare --user --map-user=1000 --map-group=1000 "$sshd" -D -f config -p "$1"' \
        bash "$1""#;
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), REPOSITORY);
    prepare(
        folder.path(),
        r#"ssh-keygen -qt ed25519 -N "" -f host && ssh-keygen -qt ed25519 -N "" -f user
        echo "ghost:x:1000:1000::$PWD:/bin/bash" >passwd
        printf "%s\n" "ListenAddress 127.0.0.1" "HostKey $PWD/host" "AuthorizedKeysFile $PWD/user.pub" \
            "StrictModes no" "PidFile none" "UsePAM no" >config"#,
    );
    let (_server, place) = serve(folder.path(), SERVER);
    let script = format!(
        r#"export GIT_SSH_COMMAND="ssh -F none -i $PWD/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        git clone -q "ssh://ghost@203.0.113.7$PWD/bare.git" clone && {SAME}
        cd clone && head -c 3000000 /dev/urandom >more && git add more && git commit -qm second && git push -q
        test "$(git rev-parse HEAD)" = "$(git -C ../bare.git rev-parse HEAD)"
        git -C ../bare.git fsck --full && echo pushed"#
    );
    let text = in_guest(folder.path(), SSH, place, &script);
    assert!(text.contains("the same") && text.contains("pushed"), "{text}");
}

#[test]
fn apt_installs_from_an_archive() {
    const NAME: &str = "apt_installs_from_an_archive";
    if lacks(NAME, &["apt-get", "dpkg-deb", "python3"]) || !is_apart(NAME) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    prepare(
        folder.path(),
        r#"mkdir -p tree/DEBIAN tree/opt archive state/lists/partial cache/archives/partial got
        head -c 4000000 /dev/urandom >tree/opt/data
        printf "%s\n" "Package: sample" "Version: 1" "Architecture: all" "Maintainer: a <a@example.com>" \
            "Description: a sample" >tree/DEBIAN/control
        dpkg-deb --build --root-owner-group tree archive/sample.deb
        { cat tree/DEBIAN/control; echo "Filename: ./sample.deb"; echo "Size: $(stat -c %s archive/sample.deb)"
          echo "SHA256: $(sha256sum archive/sample.deb | cut -d " " -f 1)"; echo; } >archive/Packages
        echo "deb [trusted=yes] http://203.0.113.7/ ./" >sources.list"#,
    );
    let (_server, place) =
        serve(folder.path(), "python3 -m http.server --bind 127.0.0.1 --protocol HTTP/1.1 -d archive $1");
    let script = r#"apt() {
            apt-get -o Dir::Etc::SourceList="$PWD/../sources.list" -o Dir::Etc::SourceParts=/dev/null \
                -o Dir::Etc::Parts=/dev/null -o Dir::State="$PWD/../state" -o Dir::Cache="$PWD/../cache" \
                -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Retries=0 \
                -o Acquire::http::Proxy=DIRECT "$@"
        }
        cd got && apt update && apt download sample && cmp sample*.deb ../archive/sample.deb && echo the same"#;
    let text = in_guest(folder.path(), WEB, place, script);
    assert!(text.contains("the same"), "{text}");
}

#[test]
fn curl_loads_many_files_at_once_over_http_2() {
    const NAME: &str = "curl_loads_many_files_at_once_over_http_2";
    if lacks(NAME, &["curl", "openssl", "nghttpd"]) || !is_apart(NAME) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    prepare(
        folder.path(),
        "mkdir files && for n in {1..20}; do head -c $((n * 100000)) /dev/urandom >files/$n; done",
    );
    prepare(folder.path(), CERTIFICATE);
    let (_server, place) =
        serve(folder.path(), "nghttpd --address=127.0.0.1 --htdocs=files $1 key certificate");
    let script = r#"mkdir got && curl -sS --http2 --cacert certificate --parallel -w "%{http_version}\n" \
        -o "got/#1" "https://203.0.113.7/[1-20]" && diff -r files got && echo the same"#;
    let text = in_guest(folder.path(), HTTPS, place, script);
    assert!(text.contains("the same") && text.lines().filter(|line| *line == "2").count() == 20, "{text}");
}

#[test]
fn a_websocket_carries_messages_both_ways_at_once_and_after_a_pause() {
    const NAME: &str = "a_websocket_carries_messages_both_ways_at_once_and_after_a_pause";
    if lacks(NAME, &["python3"]) || !is_apart(NAME) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("websocket.py"), include_str!("websocket.py")).unwrap();
    let (_server, place) = serve(folder.path(), "python3 websocket.py serve $1");
    let text = in_guest(folder.path(), WEB, place, "python3 websocket.py connect 203.0.113.7 80");
    assert!(text.contains("all came back"), "{text}");
}

/// `VIRTUALGHOST_TEST_MB`: how much.
#[test]
fn a_download_arrives_whole() {
    const NAME: &str = "a_download_arrives_whole";
    if lacks(NAME, &["curl", "python3", "sha256sum"]) || !is_apart(NAME) {
        return;
    }
    let megabytes: u64 = std::env::var("VIRTUALGHOST_TEST_MB").map_or(100, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("file")).unwrap();
    let megabyte = bytes(1_000_000);
    for number in 0..megabytes {
        // No two are the same.
        file.write_all(&number.to_le_bytes()).unwrap();
        file.write_all(&megabyte[8..]).unwrap();
    }
    drop(file);
    let (_server, place) =
        serve(folder.path(), "python3 -m http.server --bind 127.0.0.1 --protocol HTTP/1.1 $1");
    let expected = text(bash(folder.path(), "sha256sum <file", "").output().unwrap());
    let scene = scene(&[(WEB, place)]);
    // One that stands still has failed.
    let load = "curl -sSf --http1.1 --speed-time 30 http://203.0.113.7/file | sha256sum";
    let load = || bash(folder.path(), load, "").output();
    assert_eq!(text(as_guest(scene.cable(), load).unwrap()), expected);
    assert!(scene.account().reached[0].received > megabytes * 1_000_000);
}

#[test]
#[ignore = "ten minutes: tests/lab/network.sh"]
fn a_connection_on_which_nothing_happens_for_ten_minutes_goes_on() {
    const NAME: &str = "a_connection_on_which_nothing_happens_for_ten_minutes_goes_on";
    if !is_apart(NAME) {
        return;
    }
    let places = ["127.0.0.1:0", "[::1]:0"].map(echo_server);
    let scene = scene(&[(WEB, places[0]), (WEB_V6, places[1])]);
    as_guest(scene.cable(), || {
        let mut streams = [WEB, WEB_V6].map(|place| TcpStream::connect(place).unwrap());
        for _ in 0..2 {
            for stream in &mut streams {
                stream.write_all(b"still there\n").unwrap();
                let mut line = [0; 12];
                stream.read_exact(&mut line).unwrap();
                assert_eq!(&line, b"still there\n");
            }
            std::thread::sleep(Duration::from_secs(600));
        }
    });
}
