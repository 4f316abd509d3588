use std::io;
use std::os::fd::OwnedFd;

pub fn connect(_cid: u32, _port: u32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}
