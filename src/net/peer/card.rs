//! The guest's network card: a socket on which each datagram is a frame. QEMU has its other end.
//!
//! What does not fit into the socket waits here, up to a limit. Connections stop sending before it is reached
//! ([`Card::is_full`]); of everything else the newest frames are dropped, as on any cable.

use super::frames;
use crate::net::link::{HEADER, MTU};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetProtocol;
use socket2::SockRef;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;

/// So many bytes of memory may wait, and so many before a connection stops sending.
pub const MOST: usize = 1 << 20;
const FULL: usize = 128 << 10;

/// What a frame that waits takes in addition to its bytes, so that tiny ones are bounded too.
const PLACE: usize = 64;

/// So many bytes are on their way in each direction, if the system permits it.
const ON_THE_WAY: usize = 256 << 10;

/// Both ends of a cable: the card's and the peer's.
///
/// # Errors
/// The system has no more sockets.
pub fn cable() -> io::Result<(UnixDatagram, UnixDatagram)> {
    let (card, peer) = UnixDatagram::pair()?;
    for end in [&card, &peer] {
        // macOS takes no datagram that is larger than this buffer, and it has 2 KiB by itself. Linux has space for a
        // frame.
        let end = SockRef::from(end);
        let _ = end.set_send_buffer_size(ON_THE_WAY);
        let _ = end.set_recv_buffer_size(ON_THE_WAY);
    }
    Ok((card, peer))
}

#[derive(Clone)]
pub struct Card(Rc<RefCell<Inner>>);

struct Inner {
    socket: UnixDatagram,
    waiting: VecDeque<Vec<u8>>,
    /// What those that wait take.
    bytes: usize,
    /// Becomes the next frame.
    spare: Vec<u8>,
}

impl Card {
    pub fn new(socket: UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let inner = Inner { socket, waiting: VecDeque::new(), bytes: 0, spare: Vec::new() };
        Ok(Self(Rc::new(RefCell::new(inner))))
    }

    /// Reads the next frame into `buffer`; None if there is none.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        self.0.borrow().socket.recv(buffer).ok()
    }

    pub fn send(&self, frame: Vec<u8>) {
        let mut inner = self.0.borrow_mut();
        if inner.waiting.is_empty() && inner.transmit(&frame) {
            return;
        }
        let taken = taken(&frame);
        if inner.bytes + taken <= MOST {
            inner.bytes += taken;
            inner.waiting.push_back(frame);
        }
    }

    /// The same for a frame of this length that `fill` writes, without a new allocation for each.
    fn send_filled<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = std::mem::take(&mut self.0.borrow_mut().spare);
        frame.resize(length, 0);
        let result = fill(&mut frame);
        let mut inner = self.0.borrow_mut();
        if inner.waiting.is_empty() && inner.transmit(&frame) {
            inner.spare = frame;
            return result;
        }
        drop(inner);
        // A small one does not take a large one's memory with it.
        if frame.capacity() > 2 * frame.len() {
            self.send(frame.as_slice().to_vec());
            self.0.borrow_mut().spare = frame;
        } else {
            self.send(frame);
        }
        result
    }

    /// Sends what waits; whether something still does.
    pub fn flush(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        while let Some(frame) = inner.waiting.pop_front() {
            if !inner.transmit(&frame) {
                inner.waiting.push_front(frame);
                return true;
            }
            inner.bytes -= taken(&frame);
            if frame.capacity() > inner.spare.capacity() {
                inner.spare = frame;
            }
        }
        false
    }

    pub fn has_waiting(&self) -> bool {
        !self.0.borrow().waiting.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.0.borrow().bytes >= FULL
    }

    /// The memory of the frames that wait.
    #[cfg(test)]
    pub fn waiting_bytes(&self) -> usize {
        self.0.borrow().waiting.iter().map(taken).sum()
    }

    /// Calls `with` with the socket, for the poller.
    pub fn with_socket<T>(&self, with: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        with(self.0.borrow().socket.as_fd())
    }
}

impl Inner {
    /// Whether the frame has left, or never will.
    fn transmit(&mut self, frame: &[u8]) -> bool {
        match self.socket.send(frame) {
            Ok(_) => true,
            // macOS says so when the other end's buffer is full.
            Err(e)
                if e.kind() == io::ErrorKind::WouldBlock || e.raw_os_error() == Some(nix::libc::ENOBUFS) =>
            {
                false
            }
            // QEMU has ended: the launcher ends this process too.
            Err(_) => true,
        }
    }
}

/// The memory that a frame takes while it waits.
fn taken(frame: &Vec<u8>) -> usize {
    frame.capacity() + PLACE
}

/// The card as one connection's stack sees it: IP packets, one at a time.
pub struct Wire<'a> {
    pub card: &'a Card,
    /// A packet for the connection.
    pub incoming: Option<&'a [u8]>,
}

impl<'w> Device for Wire<'w> {
    type RxToken<'a>
        = Incoming<'w>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'w>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'w>, Outgoing<'w>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(self.card)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'w>> {
        (!self.card.is_full()).then_some(Outgoing(self.card))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // Nothing is lost or changed on the way through the host's memory.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

pub struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub struct Outgoing<'a>(&'a Card);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.0.send_filled(HEADER + length, |frame| {
            let result = f(&mut frame[HEADER..]);
            let is_ipv4 = frame[HEADER] >> 4 == 4;
            frames::header(frame, if is_ipv4 { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 });
            result
        })
    }
}

/// A stream that tells a full or empty socket from an end.
pub enum Moved {
    Bytes(usize),
    /// Not now.
    Nothing,
    Failed,
}

pub fn moved(result: io::Result<usize>) -> Moved {
    match result {
        Ok(count) => Moved::Bytes(count),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Moved::Nothing
        }
        Err(_) => Moved::Failed,
    }
}

pub fn write(mut socket: &socket2::Socket, bytes: &[u8]) -> Moved {
    moved(socket.write(bytes))
}

pub fn read(mut socket: &socket2::Socket, buffer: &mut [u8]) -> Moved {
    moved(socket.read(buffer))
}
