//! The version of Landlock in this kernel (landlock(7)).

use nix::libc;
use std::io;
use std::ptr;

/// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
const VERSION: libc::c_ulong = 1;

/// # Errors
/// ENOSYS: the kernel has no Landlock; EOPNOTSUPP: it is disabled.
pub fn abi() -> io::Result<u32> {
    // SAFETY: with this flag the call has no attributes, and only returns a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}
