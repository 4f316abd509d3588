//! Whose rights a session has: the account's data, and the ways to act with them so that the kernel checks every
//! file and every port, not this program.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{User, geteuid, getgrouplist};

/// An account, as the system's user database has it.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub uid: libc::uid_t,
    pub gid: libc::gid_t,
    pub home: PathBuf,
    pub shell: PathBuf,
    groups: Vec<libc::gid_t>,
    home_c: CString,
}

impl Account {
    pub fn lookup(name: &str) -> io::Result<Self> {
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name:?}; say --user NAME"));
        let user = User::from_name(name)?.ok_or_else(missing)?;
        let name_c = CString::new(name)?;
        let groups = getgrouplist(&name_c, user.gid)?.iter().map(|g| g.as_raw()).collect();
        let shell = if user.shell.as_os_str().is_empty() { "/bin/sh".into() } else { user.shell };
        Ok(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home_c: CString::new(user.dir.as_os_str().as_bytes())?,
            home: user.dir,
            shell,
            groups,
        })
    }

    /// Makes a forked child a process of this user, in its home (`/` if it can't be entered), with no privilege
    /// and no ignored signal left. Only system calls and nothing that allocates: other threads' locks are frozen
    /// in the child.
    pub fn become_in_child(&self) -> io::Result<()> {
        lose_protection();
        self.take_credentials()?;
        // SAFETY: both paths are NUL-terminated; umask can't fail, and signal fails for KILL and STOP as it may.
        unsafe {
            for signal in 1..=libc::SIGRTMAX() {
                libc::signal(signal, libc::SIG_DFL);
            }
            if libc::chdir(self.home_c.as_ptr()) != 0 {
                check(libc::chdir(c"/".as_ptr()).into())?;
            }
            libc::umask(0o022);
        }
        Ok(())
    }

    /// Runs `work` with this user's rights and a umask that keeps others out, in a thread of its own that ends
    /// with it: how to open a socket as the user and keep it here.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let identity = self.clone();
        let as_user = move || {
            // SAFETY: numbers only. The umask is the process's until the thread has its own (unshare(2)).
            unsafe {
                check(libc::unshare(libc::CLONE_FS).into())?;
                libc::umask(0o177);
            }
            identity.take_credentials()?;
            work()
        };
        std::thread::spawn(as_user)
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the helping thread panicked")))
    }

    /// Groups, group, user, in that order, of the calling thread alone: the raw system calls, because the C
    /// library's functions change all threads (credentials(7), "C library/kernel differences").
    fn take_credentials(&self) -> io::Result<()> {
        if self.uid == geteuid().as_raw() && self.uid != 0 {
            return Ok(());
        }
        // SAFETY: the pointer and its length belong to one live Vec; the rest are numbers.
        unsafe {
            check(libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()))?;
            check(libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid))?;
            check(libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid))
        }
    }
}

/// When memory runs out, this program is killed last (its service), and what it starts is not.
fn lose_protection() {
    let score = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
    // Where it fails, the score stays.
    let _ = score.and_then(|score| nix::unistd::write(score, b"0"));
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
