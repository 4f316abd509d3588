//! Calls that only this architecture has: elsewhere newer ones took their place.

use nix::libc;

pub const CALLS: &[libc::c_long] =
    &[libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_newfstatat, libc::SYS_poll];
