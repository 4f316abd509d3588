//! Connections on which nothing happens: they cost nothing, and go on. The clock is the tests' own.

use super::floods::peer;
use super::guest::Guest;
use super::*;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

/// A peer without a thread, and a guest.
struct Pair {
    peer: Peer,
    guest: Guest,
    _control: UnixStream,
}

impl Pair {
    fn new() -> Self {
        let (mut peer, cable, control) = peer(Net::Public);
        peer.outside.detours = [(address(WEB), echo_server("127.0.0.1:0"))].into();
        peer.open_card(Instant::now());
        Self { peer, guest: Guest::new(cable), _control: control }
    }

    fn until(&mut self, mut is_done: impl FnMut(&mut Guest) -> bool) {
        let Self { peer, guest, .. } = self;
        let is_done = guest.turn_until(|guest| {
            let ready = peer.watch.wait(Some(Duration::ZERO)).unwrap();
            peer.handle(ready, Instant::now() + guest.later).unwrap();
            is_done(guest)
        });
        assert!(is_done);
    }

    fn connect(&mut self) -> SocketHandle {
        let connection = self.guest.connect(address(WEB));
        self.until(|guest| guest.tcp(connection).state() == State::Established);
        connection
    }

    fn exchange(&mut self, connection: SocketHandle) {
        self.guest.send(connection, b"hello\n");
        self.until(|guest| guest.tcp(connection).recv_queue() == 6);
        assert_eq!(self.guest.read(connection, 6), b"hello\n");
    }

    /// Lets all happen that still does.
    fn settle(&mut self) {
        let until = Instant::now() + Duration::from_millis(300);
        self.until(|_| Instant::now() > until);
    }
}

#[test]
fn a_peer_without_work_is_woken_by_nothing_but_its_advertisement_every_ten_minutes() {
    let mut pair = Pair::new();
    for connections in [0, 4] {
        for _ in 0..connections {
            let connection = pair.connect();
            pair.exchange(connection);
        }
        pair.settle();
        assert_eq!(pair.peer.connections.len(), connections);
        assert_eq!(pair.peer.watch.wait(Some(Duration::ZERO)).unwrap(), []);
        let next = pair.peer.watch.next().unwrap() - Instant::now();
        assert!(next > Duration::from_secs(500), "{connections} connections: {next:?}");
    }
}

#[test]
fn after_ten_minutes_a_connection_goes_on() {
    let mut pair = Pair::new();
    let connection = pair.connect();
    for _ in 0..3 {
        pair.exchange(connection);
        pair.settle();
        pair.guest.later += Duration::from_secs(600);
    }
    assert_eq!(pair.peer.connections.len(), 1);
}
