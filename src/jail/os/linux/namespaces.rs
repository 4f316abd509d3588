//! A root of its own, for kernels without Landlock: user and mount namespaces (user_namespaces(7), mount_namespaces(7)). What
//! the policy lists is mounted there, what is only read without the right to write, and nothing else is there.
//!
//! Unlike Landlock it can't prevent signals to the user's other processes.

use crate::jail::{Access, JailPolicy, Network};
use anyhow::{Context, Result};
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, getegid, geteuid, mkdir, pivot_root, symlinkat};
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the new root is put together: every system has this folder, and the namespace alone sees what is mounted on it.
const SCAFFOLD: &CStr = c"/tmp";
const SCAFFOLD_OLD: &CStr = c"/tmp/old";
const OLD: &str = "/old";
const NEW: &CStr = c"/new";

/// What a process does to leave the host's files behind.
pub struct Root {
    namespaces: CloneFlags,
    /// The files that map this user to itself, and what is written to them.
    maps: [(&'static str, String); 3],
    mounts: Vec<Mount>,
}

struct Mount {
    /// Below [`OLD`], without links: they would lead into the new root.
    source: CString,
    /// Below [`NEW`].
    target: CString,
    /// The folders above the target, outermost first.
    folders: Vec<CString>,
    is_folder: bool,
    is_read_only: bool,
}

impl Root {
    /// # Errors
    /// A path has a zero byte.
    pub fn new(policy: &JailPolicy) -> Result<Self> {
        let mut namespaces = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
        // With no network there are no abstract sockets either.
        if policy.network == Network::None && policy.abstract_sockets.is_none() {
            namespaces |= CloneFlags::CLONE_NEWNET;
        }
        let mut mounts = Vec::new();
        for rule in &policy.rules {
            // What does not exist is left out.
            let Ok(source) = fs::canonicalize(&rule.path) else { continue };
            let is_read_only = matches!(rule.access, Access::Read | Access::Run);
            // A library is looked up by its own name, or by a link to it.
            let mut targets = vec![&source];
            targets.extend((rule.path != source).then_some(&rule.path));
            for target in targets {
                mounts.push(Mount::new(&source, target, is_read_only)?);
            }
        }
        // A folder before what is in it.
        mounts.sort_by_key(|mount| mount.folders.len());
        let (user, group) = (geteuid(), getegid());
        let maps = [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
        ];
        Ok(Self { namespaces, maps, mounts })
    }

    /// Enters the namespaces. Only system calls, no allocation: the process has just been forked.
    ///
    /// # Errors
    /// The kernel or its administrator does not allow it.
    pub fn enter(&self) -> io::Result<()> {
        const NONE: Option<&CStr> = None;
        unshare(self.namespaces)?;
        for (file, text) in &self.maps {
            File::options().write(true).open(file)?.write_all(text.as_bytes())?;
        }
        // Nothing that is mounted here is seen outside.
        mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        let tmpfs = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some(c"tmpfs"), SCAFFOLD, Some(c"tmpfs"), tmpfs, Some(c"mode=0755,size=1m"))?;
        mkdir(SCAFFOLD_OLD, Mode::S_IRWXU)?;
        pivot_root(SCAFFOLD, SCAFFOLD_OLD)?;
        chdir(c"/")?;
        mkdir(NEW, Mode::from_bits_retain(0o755))?;
        mount(Some(NEW), NEW, NONE, MsFlags::MS_BIND, NONE)?;
        for mount in &self.mounts {
            mount.make()?;
        }
        make_own_process()?;
        chdir(NEW)?;
        // The old root is below the new one for a moment (pivot_root(2)).
        pivot_root(c".", c".")?;
        umount2(c".", MntFlags::MNT_DETACH)?;
        chdir(c"/")?;
        mount(NONE, c"/", NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | tmpfs, NONE)?;
        give_up_capabilities()
    }
}

impl Mount {
    fn new(source: &Path, target: &Path, is_read_only: bool) -> Result<Self> {
        let below = |root: &str, path: &Path| {
            let path = [root.as_bytes(), path.as_os_str().as_bytes()].concat();
            CString::new(path).with_context(|| format!("{} has a zero byte", target.display()))
        };
        let new = NEW.to_str().expect("it is ASCII");
        let mut folders: Vec<PathBuf> = target.ancestors().skip(1).map(Path::to_owned).collect();
        folders.pop();
        let folders = folders.iter().rev().map(|folder| below(new, folder)).collect::<Result<_>>()?;
        Ok(Self {
            source: below(OLD, source)?,
            target: below(new, target)?,
            folders,
            is_folder: source.is_dir(),
            is_read_only,
        })
    }

    /// What can't be mounted is left out, like what does not exist.
    ///
    /// # Errors
    /// It is mounted, and would be writable.
    fn make(&self) -> io::Result<()> {
        const NONE: Option<&CStr> = None;
        // They may exist, in a folder of the host.
        for folder in &self.folders {
            let _ = mkdir(folder.as_c_str(), Mode::from_bits_retain(0o755));
        }
        if self.is_folder {
            let _ = mkdir(self.target.as_c_str(), Mode::from_bits_retain(0o755));
        } else {
            let _ = open(self.target.as_c_str(), OFlag::O_CREAT | OFlag::O_CLOEXEC, Mode::S_IRWXU);
        }
        // With what is mounted below: the kernel refuses to uncover it.
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        if mount(Some(self.source.as_c_str()), self.target.as_c_str(), NONE, bind, NONE).is_err() {
            return Ok(());
        }
        if self.is_read_only {
            let flags =
                MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | restrictions(&self.target)?;
            mount(NONE, self.target.as_c_str(), NONE, flags, NONE)?;
        }
        Ok(())
    }
}

/// Of statvfs(3); musl does not name it.
const ST_RELATIME: libc::c_ulong = 4096;

/// A mount's own restrictions, which another namespace can't take away.
fn restrictions(path: &CStr) -> io::Result<MsFlags> {
    // SAFETY: zeros are a valid statvfs, which the call fills.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a path that ends with zero, and a place for the result.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut found) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let pairs = [
        (libc::ST_NOSUID, MsFlags::MS_NOSUID),
        (libc::ST_NODEV, MsFlags::MS_NODEV),
        (libc::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (libc::ST_NOATIME, MsFlags::MS_NOATIME),
        (libc::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    Ok(pairs.iter().filter(|(flag, _)| found.f_flag & flag != 0).map(|&(_, flag)| flag).collect())
}

/// What this process shows of itself: /proc/PID and the link to it.
fn make_own_process() -> io::Result<()> {
    const NONE: Option<&CStr> = None;
    // "/new/proc/" and ten digits at most.
    let mut buffer = [0u8; 32];
    let mut left = &mut buffer[..];
    write!(left, "/new/proc/{}", std::process::id())?;
    let path = CStr::from_bytes_until_nul(&buffer).expect("the rest of it is zero");
    let _ = mkdir(c"/new/proc", Mode::from_bits_retain(0o755));
    // With all of /proc there, it exists.
    if mkdir(path, Mode::from_bits_retain(0o755)).is_ok() {
        mount(Some(c"/old/proc/self"), path, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
        let name = CStr::from_bytes_until_nul(&buffer[c"/new/proc/".count_bytes()..]).expect("as above");
        symlinkat(name, AT_FDCWD, c"/new/proc/self")?;
    }
    Ok(())
}

/// Root in a user namespace could undo its mounts; and a program that root starts has all capabilities, unless it is told
/// otherwise (capabilities(7), SECBIT_NOROOT).
fn give_up_capabilities() -> io::Result<()> {
    const NO_ROOT_LOCKED: libc::c_ulong = 0b11;
    // SAFETY: numbers.
    match unsafe { libc::prctl(libc::PR_SET_SECUREBITS, NO_ROOT_LOCKED, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
