//! What the fuzz targets need in addition.

use super::*;
use crate::net::link;
use std::net::TcpListener;

/// A peer without a thread that reaches one server, on the loopback interface, which never answers.
pub struct Lab {
    peer: Peer,
    cable: UnixDatagram,
    _control: UnixStream,
    _server: TcpListener,
}

impl Lab {
    pub fn new() -> Self {
        let (cable, card) = cable().unwrap();
        let (ours, control) = UnixStream::pair().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let public = "203.0.113.7:80".parse().unwrap();
        let outside =
            Outside { detours: [(public, server.local_addr().unwrap())].into(), resolver_port: None };
        let mut peer = Peer::new(Inherited { card, control, show: None, agent: None }, outside).unwrap();
        let allow = ["203.0.113.7:80", "www.example"].map(|rule| rule.parse().unwrap()).to_vec();
        peer.policy = Policy { net: Net::Off, allow };
        cable.set_nonblocking(true).unwrap();
        Self { peer, cable, _control: ours, _server: server }
    }

    /// Handles a frame, and all that follows from it at once.
    pub fn frame(&mut self, bytes: &[u8]) {
        self.peer.on_frame(bytes, Instant::now());
        self.peer.turn(Some(Duration::ZERO)).unwrap();
        // Whatever the peer sends is a frame for the guest, and no longer than the cable allows.
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = self.cable.recv(&mut buffer) {
            assert!(length <= link::HEADER + link::MTU && buffer[6..12] == link::PEER_MAC.0);
        }
    }

    /// How many things it keeps.
    pub fn kept(&self) -> usize {
        let peer = &self.peer;
        peer.connections.len() + peer.pending.len() + peer.exchanges.len() + peer.resolver.jobs.len()
    }
}
