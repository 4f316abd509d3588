//! No other calls than those that every architecture has.

use nix::libc;

pub const CALLS: &[libc::c_long] = &[libc::SYS_newfstatat, libc::SYS_ppoll];
