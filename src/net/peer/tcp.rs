//! One TCP connection of the guest, and its other half on the host. Each has a stack of its own (smoltcp) with one socket, so
//! that a packet costs the same with one connection and with a thousand, and no connection can fill another's buffers.
//!
//! ```text
//! guest ⇄ frames ⇄ smoltcp socket ⇄ [this] ⇄ socket of the host ⇄ server
//! ```
//!
//! The guest's first segment waits until the host's connection stands: what the server says to it, the guest is told.

use super::card::{Card, Moved, Wire, read, write};
use super::greeting::{self, Greeting};
use super::stacks::{Cable, OneStack};
use crate::net::policy::Destination;
use smoltcp::iface::{Config, Interface, PollResult};
use smoltcp::socket::tcp::{Socket as Stack, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint};
use socket2::Socket;
use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

/// Answers of the resolver that a guest does not read.
const MOST_ANSWERS: usize = 128 << 10;

/// Both ends, as the guest names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    pub guest: SocketAddr,
    pub remote: SocketAddr,
}

/// Where the bytes of a connection go.
pub enum Other {
    Socket(Socket),
    /// The peer's own resolver: each question and each answer has its length before it (RFC 1035, 4.2.2).
    Resolver {
        answers: VecDeque<u8>,
    },
    /// A text of the peer's, which the guest gets and that is all.
    Text(VecDeque<u8>),
}

pub struct Connection {
    pub ends: Ends,
    interface: Interface,
    stack: OneStack,
    card: Card,
    pub other: Other,
    /// The other half takes no more now; has nothing now; has sent its last; was told that no more comes.
    is_full: bool,
    is_empty: bool,
    has_ended: bool,
    is_told: bool,
    /// What the guest gets before what comes from the other half.
    pub first: Vec<u8>,
    /// Where it leads outside; None for one to the peer itself or to the guest.
    pub to: Option<Destination>,
    /// Nothing goes to the other half before the greeting has named a server that the policy opens.
    is_gated: bool,
    /// Bytes that nobody has counted yet.
    sent: u64,
    received: u64,
}

/// What has become of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Lives,
    Over,
}

impl Connection {
    /// A connection that the guest opens with `first`, an IP packet.
    pub fn accept(ends: Ends, cable: Cable, other: Other, first: &[u8], seed: u64) -> Self {
        let mut this = Self::new(ends, cable, other, seed);
        let endpoint = IpListenEndpoint { addr: Some(ends.remote.ip().into()), port: ends.remote.port() };
        this.stack().listen(endpoint).expect("it is a new socket, and a port is no 0");
        this.ingress(first, Instant::now());
        this
    }

    /// A connection that the host opens to the guest.
    pub fn connect(ends: Ends, cable: Cable, other: Other, seed: u64) -> Self {
        let mut this = Self::new(ends, cable, other, seed);
        let (interface, stack) = (&mut this.interface, this.stack.get());
        let local = IpListenEndpoint { addr: Some(ends.remote.ip().into()), port: ends.remote.port() };
        stack
            .connect(interface.context(), IpEndpoint::from(ends.guest), local)
            .expect("it is a new socket, with addresses and ports");
        this
    }

    fn new(ends: Ends, Cable { card, stack }: Cable, other: Other, seed: u64) -> Self {
        let mut wire = Wire { card: &card, incoming: None };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let now = Instant::now();
        let mut interface = Interface::new(config, &mut wire, now.into());
        let address = IpAddress::from(ends.remote.ip());
        let bits = if ends.remote.is_ipv4() { 32 } else { 128 };
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(address, bits)).expect("there is space for one");
        });
        Self {
            ends,
            interface,
            stack,
            card,
            other,
            is_full: false,
            is_empty: false,
            has_ended: false,
            is_told: false,
            first: Vec::new(),
            to: None,
            is_gated: false,
            sent: 0,
            received: 0,
        }
    }

    fn stack(&mut self) -> &mut Stack<'static> {
        self.stack.get()
    }

    /// For another connection.
    pub fn into_stack(self) -> OneStack {
        self.stack
    }

    #[cfg(test)]
    pub fn memory(&mut self) -> usize {
        self.stack.memory()
    }

    /// Takes a packet of the guest.
    pub fn take(&mut self, packet: &[u8], now: Instant) -> Fate {
        self.ingress(packet, now);
        self.pump(now)
    }

    fn ingress(&mut self, packet: &[u8], now: Instant) {
        let mut wire = Wire { card: &self.card, incoming: Some(packet) };
        self.interface.poll_ingress_single(now.into(), &mut wire, &mut self.stack.sockets);
    }

    fn egress(&mut self, now: Instant) {
        let mut wire = Wire { card: &self.card, incoming: None };
        while self.interface.poll_egress(now.into(), &mut wire, &mut self.stack.sockets) != PollResult::None {
        }
    }

    /// The host's socket can be read or written again.
    pub fn woken(&mut self, readable: bool, writable: bool, now: Instant) -> Fate {
        self.is_empty &= !readable;
        self.is_full &= !writable;
        self.pump(now)
    }

    /// Adds an answer of the resolver.
    pub fn answer(&mut self, message: &[u8], now: Instant) -> Fate {
        if let (Other::Resolver { answers }, Ok(length)) = (&mut self.other, u16::try_from(message.len()))
            && answers.len() + 2 + message.len() <= MOST_ANSWERS
        {
            answers.extend(length.to_be_bytes());
            answers.extend(message);
        }
        self.pump(now)
    }

    /// The next question for the resolver.
    pub fn question(&mut self) -> Option<Vec<u8>> {
        let Other::Resolver { .. } = self.other else { return None };
        let stack = self.stack();
        let mut head = [0; 2];
        if stack.peek_slice(&mut head).ok()? < 2 {
            return None;
        }
        let mut message = vec![0; 2 + usize::from(u16::from_be_bytes(head))];
        if stack.recv_queue() < message.len() {
            return None;
        }
        stack.recv_slice(&mut message).ok()?;
        message.drain(..2);
        Some(message)
    }

    /// Waits for a greeting before anything is passed on.
    pub fn gate(&mut self) {
        self.is_gated = true;
    }

    pub fn open_gate(&mut self) {
        self.is_gated = false;
    }

    /// What the guest's first bytes say, while nothing of them is passed on.
    pub fn greeting(&mut self) -> Option<Greeting> {
        if !self.is_gated {
            return None;
        }
        let stack = self.stack();
        let is_over = !matches!(stack.state(), State::Listen | State::SynReceived | State::Established);
        let bytes = stack.peek(usize::MAX).unwrap_or_default();
        Some(match greeting::read(bytes) {
            // Nothing more comes.
            Greeting::Incomplete if is_over => Greeting::Nameless,
            greeting => greeting,
        })
    }

    /// The bytes since this was asked the last time, from the guest and to it.
    pub fn uncounted(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.sent), std::mem::take(&mut self.received))
    }

    /// Ends it, and says so to the guest.
    pub fn abort(&mut self, now: Instant) -> Fate {
        self.stack().abort();
        self.egress(now);
        self.close_other();
        Fate::Over
    }

    /// Moves all bytes that can be moved now. What the guest gets to hear goes last: then one packet has the other
    /// half's bytes, the acknowledgement, and the space that there is again.
    pub fn pump(&mut self, now: Instant) -> Fate {
        self.move_to_other();
        self.move_to_guest();
        self.egress(now);
        match self.stack().state() {
            State::Closed => {
                self.close_other();
                Fate::Over
            }
            // Nothing is lost on this cable, so nothing is waited for.
            State::TimeWait => Fate::Over,
            _ => Fate::Lives,
        }
    }

    /// From the guest to the other half.
    fn move_to_other(&mut self) {
        if self.is_gated {
            return;
        }
        let stack = self.stack.get();
        let Other::Socket(socket) = &self.other else {
            // Questions are taken by `question`. One who asks no more gets the rest of the answers.
            return;
        };
        while stack.can_recv() && !self.is_full {
            let outcome = stack.recv(|bytes| match write(socket, bytes) {
                Moved::Bytes(count) => (count, (Moved::Bytes(count), count < bytes.len())),
                other => (0, (other, true)),
            });
            match outcome {
                Ok((Moved::Bytes(count), is_full)) => {
                    self.sent += count as u64;
                    self.is_full = is_full;
                }
                Ok((Moved::Nothing, _)) => self.is_full = true,
                Ok((Moved::Failed, _)) | Err(_) => return stack.abort(),
            }
        }
        let is_done = !stack.may_recv()
            && !matches!(stack.state(), State::Listen | State::SynReceived | State::SynSent);
        if is_done && !self.is_told && stack.state() != State::Closed {
            self.is_told = true;
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// From the other half to the guest.
    fn move_to_guest(&mut self) {
        let is_text = matches!(self.other, Other::Text(_));
        let stack = self.stack.get();
        if stack.can_send() && !self.first.is_empty() {
            // A new connection's buffer has space for it.
            let _ = stack.send_slice(&self.first);
            self.first.clear();
        }
        match &mut self.other {
            Other::Socket(socket) => {
                while stack.can_send() && !self.is_empty && !self.has_ended {
                    let outcome = stack.send(|buffer| match read(socket, buffer) {
                        Moved::Bytes(count) => (count, (Moved::Bytes(count), count < buffer.len())),
                        other => (0, (other, true)),
                    });
                    match outcome {
                        Ok((Moved::Bytes(0), _)) => {
                            self.has_ended = true;
                            stack.close();
                        }
                        // What comes later, and the end, wakes the poller.
                        Ok((Moved::Bytes(count), is_empty)) => {
                            self.received += count as u64;
                            self.is_empty = is_empty;
                        }
                        Ok((Moved::Nothing, _)) => self.is_empty = true,
                        Ok((Moved::Failed, _)) | Err(_) => return stack.abort(),
                    }
                }
            }
            Other::Text(answers) | Other::Resolver { answers } => {
                while stack.can_send() && !answers.is_empty() {
                    match stack.send_slice(answers.as_slices().0) {
                        Ok(count) if count > 0 => drop(answers.drain(..count)),
                        _ => break,
                    }
                }
                let is_last = answers.is_empty() && stack.recv_queue() == 0;
                if is_last
                    && (stack.state() == State::CloseWait || is_text && stack.state() == State::Established)
                {
                    stack.close();
                }
            }
        }
    }

    /// The guest has reset the connection: the server sees the same, not an orderly end.
    fn close_other(&self) {
        if let Other::Socket(socket) = &self.other
            && !(self.is_told && self.has_ended)
        {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }

    /// What the poller should tell of the host's socket: that it can be read, and that it can be written.
    pub fn interest(&mut self) -> (bool, bool) {
        let stack = self.stack.get();
        (self.is_empty && !self.has_ended && stack.may_send(), self.is_full && stack.can_recv())
    }

    /// When it must be pumped, whatever happens. None while the card is full: then it is pumped when it is not.
    pub fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.card.is_full() {
            return None;
        }
        let delay = self.interface.poll_delay(now.into(), &self.stack.sockets)?;
        Some(now + Duration::from(delay))
    }
}
