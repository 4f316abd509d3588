//! The launcher, as the peer sees it: its orders, the sockets that come with them, and the reports to it.

use crate::net::message::{LINE_BYTES, Order, Report, line};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

pub struct Launcher {
    stream: UnixStream,
    /// What has come of orders.
    text: Vec<u8>,
    /// Sockets that came for orders that are not handled yet.
    sockets: VecDeque<OwnedFd>,
}

impl AsRawFd for Launcher {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Launcher {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, text: Vec::new(), sockets: VecDeque::new() })
    }

    /// The orders that have come; None once the launcher has hung up.
    ///
    /// # Errors
    /// A line is no order.
    pub fn orders(&mut self) -> serde_json::Result<Option<Vec<Order>>> {
        let mut buffer = [0; 4096];
        loop {
            match self.receive(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.text.extend(&buffer[..count]),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return Ok(None),
            }
            if self.text.len() > LINE_BYTES {
                return Ok(None);
            }
        }
        let complete = self.text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.text.drain(..complete).collect();
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        lines.map(serde_json::from_slice).collect::<Result<_, _>>().map(Some)
    }

    /// Reads bytes, and the sockets that come with them.
    fn receive(&mut self, buffer: &mut [u8]) -> nix::Result<usize> {
        let mut space = nix::cmsg_space!([i32; 4]);
        let mut pieces = [IoSliceMut::new(buffer)];
        let stream = self.stream.as_raw_fd();
        let received = recvmsg::<()>(stream, &mut pieces, Some(&mut space), MsgFlags::empty())?;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(sockets) = message {
                // SAFETY: the kernel has just made them for this process, and nothing else has them.
                self.sockets
                    .extend(sockets.into_iter().map(|socket| unsafe { OwnedFd::from_raw_fd(socket) }));
            }
        }
        Ok(received.bytes)
    }

    /// The socket of the next order that has one.
    pub fn socket(&mut self) -> Option<OwnedFd> {
        self.sockets.pop_front()
    }

    pub fn report(&mut self, report: &Report) {
        // A launcher that does not read loses reports, not its VM's network.
        let _ = self.stream.write(line(report).as_bytes());
    }
}
