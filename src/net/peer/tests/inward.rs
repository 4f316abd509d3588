//! What leads to the guest: the agent's socket, ports of the host, datagrams, and what has a way of its own.

use super::packets::datagram;
use super::*;
use crate::net::message::{Order, line};
use crate::protocol::RELAY_PORT;
use smoltcp::iface::SocketHandle;

fn client(to: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(to).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

fn received(guest: &mut Guest, client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 100];
    guest.turn_until(|_| client.peek(&mut [0; 100]).is_ok());
    let length = client.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn the_agents_socket_leads_to_the_guest() {
    let scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let listener = guest.listen(22);
    let mut client = UnixStream::connect(scene.agent_path()).unwrap();
    assert!(guest.is_connected(listener));
    guest.send(listener, b"SSH-2.0-test");
    let mut banner = [0; 12];
    let reader = std::thread::spawn(move || {
        client.read_exact(&mut banner).unwrap();
        client.write_all(b"hello").unwrap();
        (banner, client)
    });
    assert_eq!(guest.read(listener, 5), b"hello");
    let (banner, client) = reader.join().unwrap();
    assert_eq!(&banner, b"SSH-2.0-test");
    drop(client);
    assert_eq!(guest.read_to_end(listener), b"");
}

#[test]
fn a_port_of_the_host_leads_to_what_listens_in_the_guest_until_it_is_closed() {
    let mut scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let place = scene.publish(8080, At::Card);
    let server = guest.listen(8080);
    let client = std::thread::spawn(move || {
        let mut client = std::net::TcpStream::connect(place).unwrap();
        client.write_all(b"hello").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    });
    assert!(guest.is_connected(server));
    assert_eq!(guest.read(server, 5), b"hello");
    guest.send(server, b"from the guest");
    guest.close(server);
    guest.turn_until_gone(server);
    assert_eq!(client.join().unwrap(), "from the guest");
    // Nobody listens: the client is told so.
    let mut refused = std::net::TcpStream::connect(place).unwrap();
    let reader = std::thread::spawn(move || refused.read(&mut [0; 10]).is_err());
    guest.turn_until(|_| reader.is_finished());
    assert!(reader.join().unwrap());
    scene.close(8080, Transport::Tcp);
    assert!(std::net::TcpStream::connect(place).is_err());
}

#[test]
fn datagrams_by_hand_reach_the_guest_and_each_sender_gets_its_own_replies() {
    let mut scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let place = scene.publish_udp(5353);
    let server = guest.udp_at(5353);
    let clients = [client(place), client(place)];
    let serve = |guest: &mut Guest, server: SocketHandle| {
        let (from, text) = guest.receive(server).expect("nothing came");
        assert_eq!(from.ip(), IpAddr::from(link::GATEWAY));
        guest.send_to(server, from, &[&b"re: "[..], &text].concat());
        from
    };
    let mut ports = Vec::new();
    for round in ["one", "two"] {
        for (client, name) in clients.iter().zip(["a", "b"]) {
            client.send(format!("{round} {name}").as_bytes()).unwrap();
            ports.push(serve(&mut guest, server));
            assert_eq!(received(&mut guest, client), format!("re: {round} {name}").as_bytes());
        }
    }
    assert_eq!(ports[..2], ports[2..], "a sender is the same port each time");
    assert_ne!(ports[0], ports[1]);
    scene.close(5353, Transport::Udp);
    let _ = clients[0].send(b"late");
    assert!(clients[0].send(b"late").is_err(), "nobody has the port any more");
}

#[test]
fn the_guest_sends_nothing_to_the_host_but_replies() {
    let (mut peer, cable, mut control) = floods::peer(Net::Open);
    let published = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = published.local_addr().unwrap();
    peer.senders.publish(published.into(), 5353, &mut peer.watch);
    let sender = client(place);
    sender.send(b"hello").unwrap();
    peer.turn(Some(Duration::from_secs(5))).unwrap();
    let mut frame = [0; 2000];
    let length = cable.recv(&mut frame).unwrap();
    let packet = smoltcp::wire::Ipv4Packet::new_checked(&frame[link::HEADER..length]).unwrap();
    let port = smoltcp::wire::UdpPacket::new_checked(packet.payload()).unwrap().src_port();
    let now = Instant::now();
    let say = |peer: &mut Peer, from: u16, to: u16, now| {
        let from = (link::GUEST, from).into();
        peer.on_frame(&datagram(from, (link::GATEWAY, to).into(), b"x"), now);
    };
    say(&mut peer, 5354, port, now);
    say(&mut peer, 5353, port + 1, now);
    say(&mut peer, 5353, port, now + datagrams::IDLE * 2);
    assert!(sender.recv(&mut frame).is_err(), "it was no reply, or far too late");
    say(&mut peer, 5353, port, now);
    assert!(sender.recv(&mut frame).is_ok());
    // Senders are bounded. The system may give a number again.
    for _ in 0..datagrams::MOST * 3 {
        client(place).send(b"x").unwrap();
        peer.turn(Some(Duration::ZERO)).unwrap();
    }
    peer.turn(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(peer.senders.len(), datagrams::MOST);
    let order = Order::Close { guest: 5353, transport: Transport::Udp };
    control.write_all(line(&order).as_bytes()).unwrap();
    peer.turn(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(peer.senders.len(), 0);
}

#[test]
fn a_program_on_the_loopback_interface_of_ipv6_is_reached_through_the_agents_relay() {
    let scene = web(Net::Off, &[]);
    let mut guest = scene.guest();
    let place = scene.publish(3000, At::LoopbackV6);
    let relay = guest.listen(RELAY_PORT);
    let client = std::thread::spawn(move || {
        let mut client = std::net::TcpStream::connect(place).unwrap();
        client.write_all(b"hello").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    });
    assert!(guest.is_connected(relay));
    assert_eq!(guest.read(relay, 7), [&3000u16.to_be_bytes()[..], b"hello"].concat());
    guest.send(relay, b"from ::1");
    guest.close(relay);
    guest.turn_until_gone(relay);
    assert_eq!(client.join().unwrap(), "from ::1");
}
