//! Real programs and Linux's own TCP/IP as the guest: a network namespace whose card's cable leads to the peer. The host is
//! a namespace too, with a loopback interface alone.

use super::*;
use crate::net::ports::At;
use crate::testing::skipped;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

/// Against hanging only.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether this is the namespace of a test of this module. Outside, the test is run again in there, and that is all.
pub fn is_apart_for(module: &str, test: &str) -> bool {
    const APART: &str = "VIRTUALGHOST_TEST_APART";
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let apart = |program: &[&str]| {
        let mut command = Command::new("unshare");
        let lay_out = ["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
        command.args(lay_out).args(program).env(APART, "1");
        command
    };
    let can = apart(&["sh", "-c", ": <>/dev/net/tun"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        skipped(test, "no network namespace with a card can be made");
        return false;
    }
    let (_, module) = module.split_once("::").unwrap();
    let own = std::env::current_exe().unwrap();
    let name = format!("{module}::{test}");
    let run = apart(&[own.to_str().unwrap(), "--exact", &name, "--nocapture", "--include-ignored"])
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
    false
}

fn is_apart(test: &str) -> bool {
    is_apart_for(module_path!(), test)
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

/// A card of the namespace that this thread is in.
fn card() -> io::Result<File> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: it is a structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"eth0") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: the kernel reads and writes the structure, which lives until it returns.
    match unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } {
        0 => Ok(tun),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs `program` on a thread in a namespace whose card has this cable.
pub fn as_guest<T: Send>(cable: UnixDatagram, program: impl FnOnce() -> T + Send) -> T {
    let guest = move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let card = card().unwrap();
        // As the driver of QEMU's card does it.
        let mtu = format!("link set eth0 mtu {}", link::MTU);
        for command in [
            "link set lo up",
            &mtu,
            "link set eth0 address 52:54:00:12:34:56 up",
            "address add 10.0.2.15/24 dev eth0",
            "route add default via 10.0.2.2",
        ] {
            run("ip", &command.split(' ').collect::<Vec<_>>());
        }
        let (mut to_guest, from_peer) = (card.try_clone().unwrap(), cable.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut frame = [0; link::HEADER + link::MTU];
            while let Ok(length) = from_peer.recv(&mut frame) {
                let _ = to_guest.write_all(&frame[..length]);
            }
        });
        std::thread::spawn(move || {
            let (mut card, mut frame) = (card, [0; link::HEADER + link::MTU]);
            while let Ok(length) = card.read(&mut frame) {
                let _ = cable.send(&frame[..length]);
            }
        });
        eventually("the router is advertised", || {
            let address = udp_client(WEB_V6)?.local_addr()?.ip();
            if link::is_guests(address) { Ok(()) } else { Err(io::Error::other(address.to_string())) }
        });
        program()
    };
    std::thread::scope(|scope| scope.spawn(guest).join().unwrap())
}

/// What succeeds after a while.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> io::Result<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(e) => assert!(Instant::now() < until, "{what}: {e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn scene(detours: &[(&str, SocketAddr)]) -> Scene {
    let detours = detours.iter().map(|(from, to)| (address(from), *to)).collect();
    Scene::start(Net::Public, &[], Outside { detours, resolver_port: None }, Resolvers::default())
}

/// Bytes that no place has twice.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64 / 8)
        .flat_map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .collect()
}

/// A process that ends with its test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_connection_goes_on_after_a_pause_and_with_one_half_closed() {
    if !is_apart("a_connection_goes_on_after_a_pause_and_with_one_half_closed") {
        return;
    }
    // Replies once its client has sent its last.
    let serve = |listener: TcpListener| {
        for stream in listener.incoming() {
            let (mut stream, mut text) = (stream.unwrap(), Vec::new());
            stream.read_to_end(&mut text).unwrap();
            text.extend(b" and 3 MB");
            text.extend(bytes(3_000_000));
            stream.write_all(&text).unwrap();
        }
    };
    let servers = ["127.0.0.1:0", "[::1]:0"].map(|place| TcpListener::bind(place).unwrap());
    let places = servers.each_ref().map(|server| server.local_addr().unwrap());
    for server in servers {
        std::thread::spawn(move || serve(server));
    }
    let scene = scene(&[(WEB, places[0]), (WEB_V6, places[1])]);
    as_guest(scene.cable(), || {
        for place in [WEB, WEB_V6] {
            let mut stream = TcpStream::connect(place).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let sent = bytes(1_000_000);
            stream.write_all(&sent[..10]).unwrap();
            std::thread::sleep(Duration::from_secs(2));
            stream.write_all(&sent[10..]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).expect("the server was not told that its client has sent its last");
            assert!(text == [&sent[..], b" and 3 MB", &bytes(3_000_000)].concat(), "{place}: {}", text.len());
        }
    });
}

/// Sends back what comes, on a thread.
fn udp_server(place: &str) -> SocketAddr {
    let server = UdpSocket::bind(place).unwrap();
    let place = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    place
}

fn udp_client(to: impl std::net::ToSocketAddrs) -> io::Result<UdpSocket> {
    let to = to.to_socket_addrs()?.next().unwrap();
    let client = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    client.connect(to)?;
    client.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(client)
}

/// Sends it until it comes back.
fn exchange(client: &UdpSocket, sent: &[u8]) {
    eventually(&format!("{} bytes to {:?}", sent.len(), client.peer_addr()), || {
        client.send(sent)?;
        let mut buffer = vec![0; 1 << 16];
        let length = client.recv(&mut buffer)?;
        if buffer[..length] == *sent { Ok(()) } else { Err(io::Error::other("other bytes")) }
    });
}

#[test]
fn large_datagrams_go_both_ways_and_into_the_guest_by_hand() {
    if !is_apart("large_datagrams_go_both_ways_and_into_the_guest_by_hand") {
        return;
    }
    let scene = scene(&[(WEB, udp_server("127.0.0.1:0")), (WEB_V6, udp_server("[::1]:0"))]);
    let by_hand = scene.publish_udp(5353);
    as_guest(scene.cable(), || {
        for place in [WEB, WEB_V6] {
            let client = udp_client(place).unwrap();
            for length in [80, 1440, 8000, 60_000] {
                exchange(&client, &bytes(length));
            }
        }
        udp_server("0.0.0.0:5353");
        // A thread of the host's namespace.
    });
    let client = udp_client(by_hand).unwrap();
    for length in [80, 8000, 60_000] {
        exchange(&client, &bytes(length));
    }
}

#[test]
fn a_datagram_to_a_port_that_nobody_has_is_refused() {
    if !is_apart("a_datagram_to_a_port_that_nobody_has_is_refused") {
        return;
    }
    let closed = |place: &str| UdpSocket::bind(place).unwrap().local_addr().unwrap();
    let scene = scene(&[(WEB, closed("127.0.0.1:0")), (WEB_V6, closed("[::1]:0"))]);
    as_guest(scene.cable(), || {
        for (place, length) in [(WEB, 10), (WEB, 1000), (WEB_V6, 10), (WEB_V6, 1000)] {
            let client = udp_client(place).unwrap();
            client.send(&vec![b'x'; length]).unwrap();
            let error = client.recv(&mut [0; 10]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{place} {length}");
        }
    });
}

#[test]
fn the_guest_finds_out_what_the_hosts_network_carries() {
    if !is_apart("the_guest_finds_out_what_the_hosts_network_carries") {
        return;
    }
    run("ip", &["link", "set", "lo", "mtu", "1300"]);
    let others = ["203.0.113.8:80", "[2001:db8::8]:80"];
    let (v4, v6) = (udp_server("127.0.0.1:0"), udp_server("[::1]:0"));
    let scene = scene(&[(WEB, v4), (WEB_V6, v6), (others[0], v4), (others[1], v6)]);
    as_guest(scene.cable(), || {
        let client_of = |place| {
            let client = udp_client(place).unwrap();
            exchange(&client, &bytes(80));
            assert_eq!(mtu(&client), Some(link::MTU as u16), "{place}: what the card carries");
            client
        };
        for place in [WEB, WEB_V6] {
            let client = client_of(place);
            // The first one is lost; then the guest makes fragments.
            exchange(&client, &bytes(1400));
            assert_eq!(mtu(&client), Some(1300), "{place}");
        }
        for place in others {
            let client = client_of(place);
            // Not even the first one: on a card of the usual size the guest would have made fragments of it.
            client.send(&bytes(4000)).unwrap();
            assert_eq!(client.recv(&mut [0; 5000]).unwrap(), 4000, "{place}");
        }
    });
}

/// The largest packet that the guest's kernel sends there.
fn mtu(client: &UdpSocket) -> Option<u16> {
    path_mtu::of(&socket2::SockRef::from(client), client.peer_addr().unwrap().is_ipv4())
}

#[test]
fn a_server_of_the_guest_is_reached_on_its_card_and_on_its_loopback_interface() {
    if !is_apart("a_server_of_the_guest_is_reached_on_its_card_and_on_its_loopback_interface") {
        return;
    }
    let scene = scene(&[]);
    let ports = [
        (scene.publish(3000, At::Card), "0.0.0.0:3000"),
        (scene.publish(3001, At::Loopback), "127.0.0.1:3001"),
    ];
    as_guest(scene.cable(), || {
        // As assets/guest/etc/sysctl.d/ports.conf does.
        std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").unwrap();
        for (_, place) in ports {
            echo_server(place);
        }
    });
    for (place, server) in ports {
        let mut client = eventually(server, || TcpStream::connect(place));
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"hello\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello\nend", "{server}");
    }
}
