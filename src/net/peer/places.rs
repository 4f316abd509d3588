//! Where a destination of the guest is outside, if the policy opens it.

use super::Peer;
use crate::net::link;
use crate::net::policy::{Destination, Protocol, Refusal, Verdict};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

impl Peer {
    /// Where the host's socket connects to, the likeliest first.
    pub(super) fn places(&self, to: &Destination, now: Instant) -> Result<Vec<SocketAddr>, Refusal> {
        if link::is_gateway(to.address) {
            if to.protocol == Protocol::Tcp && self.policy.opens_host(to.port) {
                let places = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
                return Ok(places.map(|address| SocketAddr::new(address, to.port)).to_vec());
            }
            return Err(Refusal::Host);
        }
        if is_of_the_cable(to.address) {
            return Err(Refusal::Host);
        }
        // In its shortest form: a socket for IPv6 would reach an IPv4 address, too.
        let address = to.address.to_canonical();
        let place = SocketAddr::new(address, to.port);
        match self.policy.verdict(to, is_own(address), &self.names, now) {
            Verdict::Open | Verdict::OpenForName => Ok(vec![self.outside.place(place)]),
            Verdict::Refused(refusal) => Err(refusal),
        }
    }
}

/// An address of the cable itself, which is nobody's outside.
fn is_of_the_cable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == link::GUEST.octets()[..3],
        IpAddr::V6(address) => address.segments()[..4] == link::PREFIX.segments()[..4],
    }
}

/// Whether the address is one of the host's: then the host would talk to it from this same address. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    // Any port will do.
    let to = SocketAddr::new(address, 9);
    let probe = Socket::new(Domain::for_address(to), Type::DGRAM, None);
    probe.is_ok_and(|probe| probe.connect(&to.into()).is_ok() && is_to_itself(&probe))
}

/// Whether a socket's both ends are one address.
pub fn is_to_itself(socket: &Socket) -> bool {
    let ip = |address: io::Result<socket2::SockAddr>| address.ok()?.as_socket().map(|address| address.ip());
    let (own, other) = (ip(socket.local_addr()), ip(socket.peer_addr()));
    own.is_some() && own == other
}
