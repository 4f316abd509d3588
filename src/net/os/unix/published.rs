//! The ports of the guest on the host's loopback interface: the sockets, which stay when the peer is replaced.

use super::process::Process;
use crate::model::units::VmName;
use crate::model::{Publish, Transport};
use crate::net::message::Order;
use crate::net::ports::{self, Listening, Policy, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

/// What is published of one VM.
pub struct Published {
    vm: VmName,
    policy: Policy,
    listening: Listening,
    open: BTreeMap<Of, Port>,
    /// Those that the user was told of.
    told: BTreeSet<Of>,
}

/// Of the guest.
type Of = (Transport, u16);

struct Port {
    socket: OwnedFd,
    wanted: Wanted,
    /// The number that it has.
    host: u16,
}

impl Port {
    fn hand_to(&self, peer: &mut Process) {
        let Wanted { port: Publish { guest, transport, .. }, at } = self.wanted;
        peer.tell(&Order::Publish { guest, transport, at }, Some(self.socket.as_fd()));
    }
}

impl Published {
    pub fn new(vm: VmName, policy: Policy) -> Self {
        let (listening, open, told) = Default::default();
        Self { vm, policy, listening, open, told }
    }

    /// The user has opened these ports of the guest.
    pub fn allow(&mut self, ports: Vec<u16>) {
        self.policy.opened.extend(ports);
    }

    /// The guest listens on other ports than before.
    pub fn listening(&mut self, listening: Listening) {
        self.listening = listening;
    }

    /// What leads into the guest now.
    pub fn list(&self) -> Vec<Publish> {
        self.open.values().map(|port| Publish { host: port.host, ..port.wanted.port }).collect()
    }

    /// Hands a new peer all that is open.
    pub fn hand_to(&self, peer: &mut Process) {
        self.open.values().for_each(|port| port.hand_to(peer));
    }

    /// Opens what should be on the host, and closes what should not any more. Returns sentences for the user.
    pub fn update(&mut self, mut peer: Option<&mut Process>) -> Vec<String> {
        let mut notices = Vec::new();
        let wanted = self.policy.wanted(&self.listening);
        // Where the program listens may change; the number on the host stays.
        let is_wanted = |port: &Port| wanted.iter().any(|wanted| wanted.port == port.wanted.port);
        let gone: Vec<_> = self.open.iter().filter(|(_, it)| !is_wanted(it)).map(|(of, _)| *of).collect();
        for (transport, guest) in gone {
            self.open.remove(&(transport, guest));
            if let Some(peer) = &mut peer {
                peer.tell(&Order::Close { guest, transport }, None);
            }
        }
        for wanted in wanted {
            let of = (wanted.port.transport, wanted.port.guest);
            if self.open.get(&of).is_some_and(|port| port.wanted == wanted) {
                continue;
            }
            match self.open(wanted, &mut notices) {
                Ok(port) => {
                    if let Some(peer) = &mut peer {
                        port.hand_to(peer);
                    }
                    self.open.insert(of, port);
                }
                Err(e) if self.told.insert(of) => {
                    let Publish { host, transport, .. } = wanted.port;
                    notices
                        .push(format!("127.0.0.1:{host}{} can't lead into the VM: {e}", transport.suffix()));
                }
                Err(_) => {}
            }
        }
        for port in self.policy.asks(&self.listening) {
            if self.told.insert((Transport::Tcp, port)) {
                let vm = &self.vm;
                notices.push(format!(
                    "the VM listens on port {port} (to open it here: virtualghost ports {vm} --open {port})"
                ));
            }
        }
        notices
    }

    /// The port as it is wanted: one that is open already keeps its socket.
    fn open(&mut self, wanted: Wanted, notices: &mut Vec<String>) -> io::Result<Port> {
        let Publish { host, guest, transport } = wanted.port;
        if let Some(port) = self.open.remove(&(transport, guest)) {
            return Ok(Port { wanted, ..port });
        }
        let most = if self.policy.is_by_hand(&wanted.port) { 1 } else { usize::MAX };
        let (socket, number) = take(transport, ports::candidates(host).take(most))?;
        if number != host {
            notices.push(format!("port {guest} of the VM is 127.0.0.1:{number} here: {host} is taken"));
        }
        Ok(Port { socket, wanted, host: number })
    }
}

/// A socket of 127.0.0.1 with the first of these numbers that is free, and the number.
fn take(transport: Transport, numbers: impl Iterator<Item = u16>) -> io::Result<(OwnedFd, u16)> {
    let bind = |number| -> io::Result<(OwnedFd, u16)> {
        let address = (Ipv4Addr::LOCALHOST, number);
        Ok(match transport {
            Transport::Tcp => {
                let socket = TcpListener::bind(address)?;
                let number = socket.local_addr()?.port();
                (socket.into(), number)
            }
            Transport::Udp => {
                let socket = UdpSocket::bind(address)?;
                let number = socket.local_addr()?.port();
                (socket.into(), number)
            }
        })
    };
    let mut error = ErrorKind::AddrInUse.into();
    for number in numbers {
        match bind(number) {
            Ok(taken) => return Ok(taken),
            Err(e) => error = e,
        }
    }
    Err(error)
}
