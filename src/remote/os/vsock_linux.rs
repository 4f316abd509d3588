use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, socket};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

pub fn connect(cid: u32, port: u32) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &VsockAddr::new(cid, port))?;
    Ok(socket)
}
