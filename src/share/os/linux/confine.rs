//! The server's confinement: no capability; of all files, those in its folder alone (Landlock); no socket, no program, no
//! process of others (seccomp); and no file that makes others act as the user (setuid).

use crate::sys::landlock;
use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use anyhow::{Context, Result};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

#[cfg_attr(target_arch = "x86_64", path = "calls_x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "calls_other.rs")]
mod calls;

/// The newest version whose restrictions are used; an older kernel enforces those that it has.
const NEWEST: ABI = ABI::V9;

/// Each file that the guest's kernel remembers is one of the server's descriptors.
const DESCRIPTORS: libc::rlim_t = 1_000_000;

/// System calls that the server makes. Any other fails. Not openat2(2): its mode is out of sight of the filter, and the server
/// has another way.
const CALLS: &[libc::c_long] = &[
    // The folder.
    libc::SYS_copy_file_range,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_flock,
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_linkat,
    libc::SYS_listxattr,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_readlinkat,
    libc::SYS_removexattr,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_setxattr,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_syncfs,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    // QEMU, and the guest's memory.
    libc::SYS_accept4,
    libc::SYS_dup,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_write,
    libc::SYS_writev,
    // The process and its threads.
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_prctl,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// The calls that set a file's mode, and which of their arguments it is.
const MODES: &[(libc::c_long, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_mkdirat, 2),
    (libc::SYS_mknodat, 2),
    (libc::SYS_openat, 3),
];

/// How many files the server may have open at once.
///
/// # Errors
/// The limit can't be read or set.
pub fn limit_files() -> Result<u64> {
    // A core file would have what the guest wrote.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let files = most.min(DESCRIPTORS);
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    Ok(files)
}

/// A descriptor for the path alone (open(2), O_PATH).
///
/// # Errors
/// There is no such path.
pub fn open_path(path: &str) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_PATH).open(path)
}

/// Leaves this process the folder that it is in. Without Landlock, the filter alone is there, and the server's own care: it
/// follows no link.
///
/// # Errors
/// The kernel refuses it.
pub fn confine(is_read_only: bool) -> Result<()> {
    drop_capabilities().context("capabilities")?;
    if landlock::abi().is_ok() {
        restrict_files(Path::new("."), is_read_only).context("Landlock")?;
    }
    for filter in [setuid_filter(), calls_filter()] {
        // It sees to it that the process gets no new privileges.
        seccompiler::apply_filter(&filter.context("seccomp")?).context("seccomp")?;
    }
    Ok(())
}

/// capset(2), and the bounding and ambient sets (capabilities(7)) by way of no new privileges: there is no other program.
fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let (header, none) = (Header { version: VERSION_3, pid: 0 }, [0u32; 6]);
    // SAFETY: both structures have the layout of this version, and live as long as the call.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn restrict_files(folder: &Path, is_read_only: bool) -> Result<()> {
    let devices: BitFlags<AccessFs> = AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev;
    let allowed = if is_read_only {
        AccessFs::ReadFile | AccessFs::ReadDir
    } else {
        AccessFs::from_all(NEWEST) & !(devices | AccessFs::Execute)
    };
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(folder)?, allowed))?
        .restrict_self()?;
    Ok(())
}

/// A file with the setuid bit would make whoever starts it act as the user.
fn setuid_filter() -> Result<BpfProgram> {
    let setuid = u64::from(libc::S_ISUID);
    let rule = |argument: u8| -> Result<Vec<SeccompRule>> {
        let is_set =
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(setuid), setuid)?;
        Ok(vec![SeccompRule::new(vec![is_set])?])
    };
    let rules = MODES.iter().map(|&(call, argument)| Ok((call, rule(argument)?))).collect::<Result<_>>()?;
    program(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

fn calls_filter() -> Result<BpfProgram> {
    let rules = CALLS.iter().chain(calls::CALLS).map(|&call| (call, Vec::new())).collect();
    program(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()?)
}
