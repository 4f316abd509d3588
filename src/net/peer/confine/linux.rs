//! Linux: Landlock without a rule, so no file opens, no socket of a program is reached, and no port listens; and a filter with
//! the system calls of the event loop.

use crate::sys::landlock;
use ::landlock::{ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetError, Scope};
use anyhow::{Context, Result};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

#[cfg_attr(target_arch = "x86_64", path = "calls_x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "calls_other.rs")]
mod calls;

/// The newest version whose restrictions are used; an older kernel enforces those that it has.
const NEWEST: ABI = ABI::V9;

/// System calls that are made while the loop runs. Any other fails.
const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_timerfd_settime,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Makes this process the peer's: what it has open is all that it has.
///
/// # Errors
/// The kernel refuses the filter. Without Landlock, the filter alone is there.
pub fn confine() -> Result<()> {
    limit()?;
    if landlock::abi().is_ok() {
        restrict_files().context("Landlock")?;
    }
    let filter = filter().context("seccomp")?;
    // It sees to it that the process gets no new privileges.
    seccompiler::apply_filter(&filter).context("seccomp")
}

/// A core file would contain what the guest sent. And each connection has a descriptor.
fn limit() -> Result<()> {
    const DESCRIPTORS: libc::rlim_t = 8192;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(DESCRIPTORS), most.min(DESCRIPTORS))?;
    Ok(())
}

fn restrict_files() -> std::result::Result<(), RulesetError> {
    // Connections are what it is for; the policy decides on them.
    let listening: BitFlags<AccessNet> = AccessNet::BindTcp.into();
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(listening)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .restrict_self()
        .map(drop)
}

fn filter() -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().chain(calls::CALLS).map(|&call| (call, Vec::new())).collect();
    // Sockets of the internet; no raw ones, which could forge packets.
    let socket = |family: i32, kind: i32| -> Result<SeccompRule> {
        let equal = |argument, mask: u64, value: i32| {
            let operator = SeccompCmpOp::MaskedEq(mask);
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value as u64)
        };
        // Above the kind are SOCK_NONBLOCK and SOCK_CLOEXEC.
        Ok(SeccompRule::new(vec![equal(0, u64::from(u32::MAX), family)?, equal(1, 0xff, kind)?])?)
    };
    let mut sockets = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            sockets.push(socket(family, kind)?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    // Of its sockets it changes whether they wait, and nothing of any device.
    let request = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::FIONBIO as _)?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(vec![request])?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refusal, SeccompAction::Allow, architecture)?;
    Ok(filter.try_into()?)
}
