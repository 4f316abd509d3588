//! The guest's ends of connections: each is a stack of its own with its buffers, which the next connection can have.

use super::card::Card;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket as Stack, SocketBuffer};

/// Bytes on their way in each direction: several of the card's packets, so that neither end waits for the other. Of the
/// connections beyond so many, fewer.
pub const BUFFER: usize = 256 << 10;
pub const LARGE: usize = 128;
pub const SMALL_BUFFER: usize = 32 << 10;

/// So many stacks of connections that have ended are kept: the next ones need no new memory.
pub const SPARE: usize = 4;

/// The guest's end of a connection.
pub struct Cable {
    pub card: Card,
    pub stack: OneStack,
}

/// A set with one socket: a connection's.
pub struct OneStack {
    pub sockets: SocketSet<'static>,
    handle: SocketHandle,
}

/// Those that no connection has now.
#[derive(Default)]
pub struct Spares(Vec<OneStack>);

impl Spares {
    /// The end of one more connection than there are.
    pub fn cable(&mut self, card: Card, connections: usize) -> Cable {
        // However they come and go: when one gets a large one, fewer than so many others have one.
        let stack = if connections < LARGE {
            self.0.pop().unwrap_or_else(|| OneStack::new(BUFFER))
        } else {
            OneStack::new(SMALL_BUFFER)
        };
        Cable { card, stack }
    }

    pub fn keep(&mut self, mut stack: OneStack) {
        if self.0.len() < SPARE && stack.get().recv_capacity() == BUFFER {
            stack.get().abort();
            self.0.push(stack);
        }
    }

    #[cfg(test)]
    pub fn memory(&mut self) -> usize {
        self.0.iter_mut().map(OneStack::memory).sum()
    }
}

impl OneStack {
    fn new(bytes: usize) -> Self {
        let buffer = || SocketBuffer::new(vec![0; bytes]);
        let mut stack = Stack::new(buffer(), buffer());
        stack.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(stack);
        Self { sockets, handle }
    }

    pub fn get(&mut self) -> &mut Stack<'static> {
        self.sockets.get_mut::<Stack<'static>>(self.handle)
    }

    /// The memory of its buffers.
    #[cfg(test)]
    pub fn memory(&mut self) -> usize {
        self.get().recv_capacity() + self.get().send_capacity()
    }
}
