//! System calls that QEMU's own filter (`-sandbox`) allows and that a VM never needs: they look into other processes, or
//! reach parts of the kernel with a history of faults. Like QEMU's filter it refuses what is listed and allows the rest,
//! because a graphics driver may use anything.

use crate::jail::{JailPolicy, Network, Refusal};
use anyhow::{Context, Result};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// syscalls(2). QEMU's filter has the oldest ones, those that change users, start programs, and change scheduling.
const NEVER_CALLED: &[libc::c_long] = &[
    // Other processes. (Mesa compares its own files with kcmp(2).)
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // Keys of the user and of the kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Programs in the kernel, and its view of processes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // QEMU uses it for migrations that are not used here.
    libc::SYS_userfaultfd,
    // QEMU and libraries do without.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // File systems.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_quotactl,
    libc::SYS_acct,
    // Another system, or another personality of this one.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_execveat,
    libc::SYS_personality,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_file_load,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_vhangup,
];

/// Input of the user's terminal, as if it were typed (ioctl_tty(2)).
const TERMINAL_INPUT: &[libc::c_ulong] = &[libc::TIOCSTI as _, libc::TIOCLINUX as _];

/// The filter for a new process, ready to be installed.
pub fn program(policy: &JailPolicy) -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        NEVER_CALLED.iter().map(|&call| (call, Vec::new())).collect();
    let terminal = TERMINAL_INPUT.iter().map(|&request| all([equal(1, request)?]));
    rules.insert(libc::SYS_ioctl, terminal.collect::<Result<_>>()?);
    // A socket of any family but these is refused.
    let mut families = Vec::new();
    if policy.unix_sockets.is_some() {
        families.push(libc::AF_UNIX);
    }
    if policy.network == Network::All {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    let other = families.into_iter().map(|family| not_equal(0, family as u64));
    let other = other.collect::<Result<Vec<_>>>()?;
    rules.insert(libc::SYS_socket, if other.is_empty() { Vec::new() } else { vec![all(other)?] });
    let refusal = match policy.refusal {
        Refusal::Error => SeccompAction::Errno(libc::EPERM as u32),
        Refusal::Log => SeccompAction::Log,
    };
    let architecture = std::env::consts::ARCH.try_into().context("seccomp")?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture)?;
    Ok(filter.try_into()?)
}

fn all(conditions: impl IntoIterator<Item = SeccompCondition>) -> Result<SeccompRule> {
    Ok(SeccompRule::new(conditions.into_iter().collect())?)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

fn not_equal(argument: u8, value: u64) -> Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)?)
}
