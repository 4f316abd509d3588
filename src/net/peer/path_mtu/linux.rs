//! Linux: the largest packet that the way of a socket carries (ip(7), ipv6(7)).

use nix::libc::{self, c_int};
use socket2::Socket;
use std::mem::size_of;
use std::os::fd::AsRawFd;

/// Whether the kernel makes fragments of what is larger, or refuses it (EMSGSIZE).
pub fn set_fragments(socket: &Socket, is_ipv4: bool, may_fragment: bool) {
    let (level, option) = if is_ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
    };
    // The same numbers for both.
    let value = if may_fragment { libc::IP_PMTUDISC_WANT } else { libc::IP_PMTUDISC_DO };
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one number, which lives until it returns. What fails leaves the kernel's default, fragments.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
}

/// What is known of it; None if nothing is.
pub fn of(socket: &Socket, is_ipv4: bool) -> Option<u16> {
    let (level, option) =
        if is_ipv4 { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
    let mut mtu: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes one number and its length, which both live until it returns.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut mtu).cast(), &raw mut length)
    };
    (done == 0).then_some(mtu.try_into().unwrap_or(u16::MAX))
}
