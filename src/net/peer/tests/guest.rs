//! A guest for tests: a stack of smoltcp on the other end of the cable.

use super::*;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{icmp, tcp, udp};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, HardwareAddress, IpCidr, IpListenEndpoint, IpProtocol, Ipv4Packet,
};
use std::cell::Cell;
use std::rc::Rc;

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The address that the guest makes of the prefix.
pub const GUEST_V6: Ipv6Addr = Ipv6Addr::new(0xfd76, 0x6768, 0x6f73, 0x7400, 0x5054, 0xff, 0xfe12, 0x3456);

pub struct Guest {
    interface: Interface,
    sockets: SocketSet<'static>,
    cable: Cable,
    next_port: u16,
    /// How much later it is for the guest than on this machine.
    pub later: Duration,
}

struct Cable {
    socket: UnixDatagram,
    mtu: usize,
    /// ICMP messages that something went nowhere.
    errors: Rc<Cell<usize>>,
    /// The length of the longest packet that has come.
    longest: usize,
}

impl Device for Cable {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Frame, Out<'_>)> {
        let mut buffer = vec![0; link::HEADER + link::MTU];
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        self.longest = self.longest.max(length - link::HEADER);
        let frame = EthernetFrame::new_checked(&buffer[..]).unwrap();
        if frame.ethertype() == EthernetProtocol::Ipv4 {
            let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
            let is_error = packet.next_header() == IpProtocol::Icmp && packet.payload()[0] == 3;
            self.errors.set(self.errors.get() + usize::from(is_error));
        }
        Some((Frame(buffer), Out(&self.socket)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Out<'_>> {
        Some(Out(&self.socket))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + link::HEADER;
        capabilities
    }
}

struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Out<'a>(&'a UnixDatagram);

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        // A full cable loses it, and it is sent again.
        let _ = self.0.send(&frame);
        result
    }
}

impl Guest {
    pub fn new(socket: UnixDatagram) -> Self {
        Self::with_mtu(socket, link::MTU)
    }

    pub fn with_mtu(socket: UnixDatagram, mtu: usize) -> Self {
        socket.set_nonblocking(true).unwrap();
        let mut cable = Cable { socket, mtu, errors: Rc::default(), longest: 0 };
        let config = Config::new(HardwareAddress::Ethernet(link::GUEST_MAC));
        let mut interface = Interface::new(config, &mut cable, Instant::now().into());
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(link::GUEST.into(), link::NETWORK_BITS)).unwrap();
            addresses.push(IpCidr::new(GUEST_V6.into(), 64)).unwrap();
        });
        interface.routes_mut().add_default_ipv4_route(link::GATEWAY).unwrap();
        interface.routes_mut().add_default_ipv6_route(link::GATEWAY_V6).unwrap();
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            cable,
            next_port: 40_000,
            later: Duration::ZERO,
        }
    }

    pub fn turn(&mut self) {
        let now = Instant::now() + self.later;
        self.interface.poll(now.into(), &mut self.cable, &mut self.sockets);
        std::thread::sleep(Duration::from_micros(200));
    }

    /// Whether it has become true.
    pub fn turn_until(&mut self, mut is_done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            self.turn();
            if is_done(self) {
                return true;
            }
        }
        false
    }

    pub fn icmp_errors(&self) -> usize {
        self.cable.errors.get()
    }

    pub fn longest_packet(&self) -> usize {
        self.cable.longest
    }

    fn tcp_socket(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 64 << 10]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }

    fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    pub fn connect(&mut self, to: SocketAddr) -> SocketHandle {
        let handle = self.tcp_socket();
        let port = self.port();
        let from: IpAddr = if to.is_ipv4() { link::GUEST.into() } else { GUEST_V6.into() };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.set_nagle_enabled(false);
        let local = IpListenEndpoint { addr: Some(from.into()), port };
        socket.connect(self.interface.context(), smoltcp::wire::IpEndpoint::from(to), local).unwrap();
        handle
    }

    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let handle = self.tcp_socket();
        self.sockets.get_mut::<tcp::Socket<'_>>(handle).listen(port).unwrap();
        handle
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut::<tcp::Socket<'static>>(handle)
    }

    pub fn is_connected(&mut self, handle: SocketHandle) -> bool {
        use tcp::State::{Closed, Established};
        self.turn_until(|guest| matches!(guest.tcp(handle).state(), Closed | Established));
        self.tcp(handle).state() == Established
    }

    pub fn send(&mut self, handle: SocketHandle, bytes: &[u8]) {
        assert_eq!(self.tcp(handle).send_slice(bytes).unwrap(), bytes.len());
    }

    pub fn read(&mut self, handle: SocketHandle, count: usize) -> Vec<u8> {
        self.turn_until(|guest| guest.tcp(handle).recv_queue() >= count);
        let mut buffer = vec![0; count];
        let length = self.tcp(handle).recv_slice(&mut buffer).unwrap_or_default();
        buffer.truncate(length);
        buffer
    }

    /// Sends and reads at once, as much as was sent.
    pub fn exchange(&mut self, handle: SocketHandle, bytes: &[u8]) -> Vec<u8> {
        let (mut sent, mut read) = (0, Vec::new());
        let until = Instant::now() + PATIENCE * 3;
        while read.len() < bytes.len() && Instant::now() < until {
            let now = Instant::now();
            self.interface.poll(now.into(), &mut self.cable, &mut self.sockets);
            let socket = self.tcp(handle);
            sent += socket.send_slice(&bytes[sent..]).unwrap();
            while let Ok(count @ 1..) = socket.recv(|bytes| {
                read.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            }) {
                let _ = count;
            }
        }
        read
    }

    /// Whether the other side resets it within this time.
    pub fn turn_until_closed(&mut self, handle: SocketHandle, within: Duration) -> bool {
        let until = Instant::now() + within;
        while Instant::now() < until && self.tcp(handle).state() != tcp::State::Closed {
            self.turn();
        }
        self.tcp(handle).state() == tcp::State::Closed
    }

    /// Until both halves have ended.
    pub fn turn_until_gone(&mut self, handle: SocketHandle) {
        self.turn_until(|guest| {
            matches!(guest.tcp(handle).state(), tcp::State::Closed | tcp::State::TimeWait)
        });
    }

    pub fn close(&mut self, handle: SocketHandle) {
        self.tcp(handle).close();
    }

    pub fn read_to_end(&mut self, handle: SocketHandle) -> Vec<u8> {
        use tcp::State::{CloseWait, Closed, Closing, LastAck, TimeWait};
        let has_ended = |guest: &mut Self| {
            matches!(guest.tcp(handle).state(), CloseWait | Closed | Closing | LastAck | TimeWait)
        };
        assert!(self.turn_until(has_ended), "{}", self.tcp(handle).state());
        let mut buffer = vec![0; 64 << 10];
        let length = self.tcp(handle).recv_slice(&mut buffer).unwrap_or_default();
        buffer.truncate(length);
        buffer
    }

    pub fn udp(&mut self) -> SocketHandle {
        let port = self.port();
        self.udp_at(port)
    }

    pub fn udp_at(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 32 << 10]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).unwrap();
        self.sockets.add(socket)
    }

    pub fn send_to(&mut self, handle: SocketHandle, to: SocketAddr, bytes: &[u8]) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(bytes, smoltcp::wire::IpEndpoint::from(to)).unwrap();
        self.turn();
    }

    pub fn receive(&mut self, handle: SocketHandle) -> Option<(SocketAddr, Vec<u8>)> {
        self.turn_until(|guest| guest.sockets.get_mut::<udp::Socket<'_>>(handle).can_recv());
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
        let (bytes, from) = socket.recv().ok()?;
        Some((SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port), bytes.to_vec()))
    }

    pub fn resolve(&mut self, name: &str, kind: u16) -> Option<Vec<u8>> {
        let socket = self.udp();
        self.send_to(socket, (link::RESOLVER, 53).into(), &messages::query(7, name, kind));
        self.receive(socket).map(|(_, answer)| answer)
    }

    pub fn resolve_over_tcp(&mut self, name: &str, kind: u16) -> Vec<u8> {
        let connection = self.connect((link::RESOLVER, 53).into());
        assert!(self.is_connected(connection));
        let query = messages::query(7, name, kind);
        self.send(connection, &[&(query.len() as u16).to_be_bytes()[..], &query].concat());
        let head = self.read(connection, 2);
        self.read(connection, u16::from_be_bytes(head.try_into().unwrap()).into())
    }

    pub fn ping(&mut self, to: IpAddr) -> bool {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 1024]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(7)).unwrap();
        let handle = self.sockets.add(socket);
        let before = self.icmp_errors();
        self.cable.socket.send(&packets::echo_request(to)).unwrap();
        self.turn_until(|guest| {
            guest.icmp_errors() > before || guest.sockets.get_mut::<icmp::Socket<'_>>(handle).can_recv()
        });
        self.sockets.get_mut::<icmp::Socket<'_>>(handle).can_recv() && self.icmp_errors() == before
    }
}
