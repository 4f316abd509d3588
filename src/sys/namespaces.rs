//! Whether this user may make user and mount namespaces (user_namespaces(7)): a distribution or an administrator can forbid it.

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Tried in a process of its own, which ends at once.
pub fn are_allowed() -> bool {
    // SAFETY: the new process makes two system calls, allocates nothing, and ends without destructors.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let allowed = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS);
            // SAFETY: it does not return.
            unsafe { libc::_exit(i32::from(allowed.is_err())) }
        }
        Ok(ForkResult::Parent { child }) => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
        Err(_) => false,
    }
}
