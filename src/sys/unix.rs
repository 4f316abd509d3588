//! What Linux and macOS share: folders, permissions, inherited files, signals.

use super::dirs::Dirs;
use super::process::{self, Exit};
use super::signals::StopSignal;
use crate::error::Result;
use directories::ProjectDirs;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::{Mode, fstatat, umask};
use nix::unistd::{Uid, User, geteuid, getuid};
use std::fs::{DirBuilder, File, Metadata, Permissions, set_permissions};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};

/// The environment variable with the home folder.
pub const HOME: &str = "HOME";

/// Whether a new process can inherit open files by number.
pub const PASSES_DESCRIPTORS: bool = true;

pub fn dirs() -> Option<Dirs> {
    let found = ProjectDirs::from("", "", "virtualghost")?;
    let data = found.data_local_dir().to_owned();
    Some(Dirs {
        cache: found.cache_dir().to_owned(),
        config: found.config_dir().to_owned(),
        // macOS has no folder for state.
        state: found.state_dir().map_or_else(|| data.clone(), Path::to_owned),
        data,
    })
}

/// The home in which OpenSSH looks for its files: that of the user database, whatever HOME is.
pub fn home_of_ssh() -> Option<PathBuf> {
    User::from_uid(getuid()).ok().flatten().map(|user| user.dir)
}

/// The user who owns the closest folder above `path` that exists, if this process is root and the user is not.
pub fn owner_that_root_would_lock_out(path: &Path) -> Option<String> {
    let folder = path.ancestors().find_map(|folder| folder.symlink_metadata().ok())?;
    let owner = Uid::from_raw(folder.uid());
    if !geteuid().is_root() || owner.is_root() {
        return None;
    }
    let user = User::from_uid(owner).ok().flatten();
    Some(user.map_or_else(|| format!("user {owner}"), |user| user.name))
}

/// Makes all files that this process and its children create private, whatever the umask was.
pub fn restrict_umask() {
    umask(Mode::from_bits_truncate(0o077));
}

pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The owner of a folder, if it is not this user.
pub fn foreign_owner(folder: &Metadata) -> Option<String> {
    let user = geteuid().as_raw();
    (folder.uid() != user).then(|| format!("it belongs to user {}, not to you (user {user})", folder.uid()))
}

/// Sets mode 0700, whatever the umask was; `found` is the folder's metadata.
pub fn set_private(folder: &Path, found: &Metadata) -> io::Result<()> {
    const PRIVATE: u32 = 0o700;
    let is_private = found.mode() & 0o7777 == PRIVATE;
    if is_private { Ok(()) } else { set_permissions(folder, Permissions::from_mode(PRIVATE)) }
}

/// A new file for reading and writing, mode 0600.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Any path works on Unix.
pub fn qemu_safe_path(path: PathBuf) -> Result<PathBuf> {
    Ok(path)
}

/// Nothing to do: every file can be sparse.
pub fn make_sparse(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether standard input is a file or a pipe, as for a script; neither a terminal, nor the /dev/null of a service.
pub fn is_stdin_for_a_shell() -> bool {
    let kind = nix::sys::stat::fstat(io::stdin()).map_or(0, |found| found.st_mode & libc::S_IFMT);
    [libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK].contains(&kind)
}

/// The space that a file uses on the disk; holes use none.
pub fn bytes_on_disk(file: &Metadata) -> u64 {
    file.blocks() * 512
}

/// Why a folder of the cache can't be trusted, if so: another user could change what is in it.
pub fn check_ownership(folder: &Metadata) -> Option<String> {
    foreign_owner(folder).or_else(|| {
        let mode = folder.mode() & 0o777;
        (mode & 0o022 != 0).then(|| format!("other users may write to it (mode {mode:o})"))
    })
}

/// Makes a file read-only.
pub fn seal(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(if executable { 0o500 } else { 0o400 }))
}

/// An open folder for many `stat` calls: they are relative to it, which saves most of their time.
pub struct Folder(File);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::open(path)?))
    }

    /// The metadata of the file at the relative `path` as one line: type and mode, size, and the time of the last change in
    /// nanoseconds since 1970. Links are not followed.
    pub fn look(&self, path: &Path) -> io::Result<String> {
        let found = fstatat(&self.0, path, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let changed = i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec);
        Ok(format!("{:o} {} {changed}", found.st_mode, found.st_size))
    }
}

/// Syncs a folder's entries to the disk.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether `path` is still this open file: it may have been removed or replaced.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match path.symlink_metadata() {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Passes this open file on to the new process: a lock of flock(2) belongs to the open file description, which both then
/// share. Keep the result until the process has started.
pub fn share(file: &File, command: &mut Command) -> io::Result<OwnedFd> {
    // Above the channels' numbers, which are assigned in the new process.
    const FIRST: RawFd = 16;
    let copy = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(FIRST))?;
    // SAFETY: the descriptor is new, and no one else closes it.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    let number = copy.as_raw_fd();
    // SAFETY: numbers; an invalid descriptor is an error.
    let keep = move || match unsafe { libc::fcntl(number, libc::F_SETFD, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: between fork and exec, `keep` makes one system call and allocates nothing.
    unsafe { command.pre_exec(keep) };
    Ok(copy)
}

/// Keeps SIGINT, SIGTERM and SIGHUP from the new process for as long as it lives: a terminal, systemd or a container engine
/// sends them to all processes at once, and the launcher's is the one that powers the guest off. Blocked and not ignored:
/// QEMU sets handlers of its own, but leaves the mask that it inherits (sigprocmask(2), execve(2)).
pub fn ignore_stop_signals(command: &mut Command) {
    let block = || {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        Ok(signals.thread_block()?)
    };
    // SAFETY: between fork and exec, `block` makes one system call and allocates nothing.
    unsafe { command.pre_exec(block) };
}

/// Lets the new process ignore all signals that this one may pass on in another way. Ignored and not blocked: a program that
/// sets handlers of its own leaves signals alone that are ignored already, as ssh(1) does.
pub fn ignore_passed_on_signals(command: &mut Command) {
    let ignore = || {
        for signal in StopSignal::ALL {
            // SAFETY: no handler is called.
            unsafe { nix::sys::signal::signal(of(signal), SigHandler::SigIgn) }?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec, `ignore` makes system calls only and allocates nothing.
    unsafe { command.pre_exec(ignore) };
}

/// Whether the child was stopped by a signal and continued since this was asked the last time. Does not reap it.
pub fn was_continued(child: &Child) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let which = libc::WCONTINUED | libc::WNOHANG;
    // SAFETY: the pointer is to one siginfo_t.
    let found = unsafe { libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), which) };
    // SAFETY: all zeros are a valid one. Its signal stays 0 if nothing is reported.
    let info = unsafe { info.assume_init() };
    found == 0 && info.si_signo == libc::SIGCHLD
}

pub fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) => Exit::Status(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}

pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or(format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// seccomp sends SIGSYS to a driver that makes a denied system call.
pub fn is_crash(number: i32) -> bool {
    use Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    Signal::try_from(number)
        .is_ok_and(|signal| [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP].contains(&signal))
}

/// The socket that a signal handler writes to; -1 before the signals are caught.
static WAKER: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: write(2) may be called in a handler (signal-safety(7)); the socket is never closed, and does not block.
    unsafe { libc::write(WAKER.load(Ordering::Relaxed), [number as u8].as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

/// The caught signals, queued until they are read.
pub struct StopRequests(UnixStream);

impl StopRequests {
    /// Calls `raise` with each, on a new thread.
    pub fn listen(self, raise: impl Fn(StopSignal) + Send + 'static) -> io::Result<()> {
        let Self(mut woken) = self;
        let listener = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut number = [0];
            while woken.read_exact(&mut number).is_ok() {
                let is_it = |signal: &StopSignal| of(*signal) as i32 == i32::from(number[0]);
                StopSignal::ALL.into_iter().find(is_it).into_iter().for_each(&raise);
            }
        });
        listener.map(drop)
    }
}

fn of(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::HangUp => Signal::SIGHUP,
        StopSignal::Interrupt => Signal::SIGINT,
        StopSignal::Quit => Signal::SIGQUIT,
        StopSignal::User1 => Signal::SIGUSR1,
        StopSignal::User2 => Signal::SIGUSR2,
        StopSignal::Terminate => Signal::SIGTERM,
    }
}

/// Catches these signals. A SIGHUP that is ignored stays ignored, for nohup(1).
///
/// # Errors
/// They are caught already.
pub fn take_over_stop_requests(signals: &[StopSignal]) -> io::Result<StopRequests> {
    let (woken, waker) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    if WAKER.compare_exchange(-1, waker.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // From here on the handler owns it.
    let _ = waker.into_raw_fd();
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in signals.iter().copied().map(of) {
        // SAFETY: the handler is a function for as long as the program runs, and makes one system call.
        let before = unsafe { sigaction(signal, &action) }?;
        if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
            // SAFETY: as it was before.
            unsafe { sigaction(signal, &before) }?;
        }
    }
    Ok(StopRequests(woken))
}

/// Starts the process in a new session (setsid(2)), so that neither Ctrl-C nor a hang-up of this terminal reaches it.
pub fn leave_terminal(command: &mut Command) {
    let leave = || {
        nix::unistd::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec, `leave` makes one system call and allocates nothing.
    unsafe { command.pre_exec(leave) };
}

/// This program as one of its roles, a hidden command: it ends with the launcher, and has neither its environment, its streams
/// nor its terminal. To be called on the thread that waits for it.
///
/// # Errors
/// The system does not know this program.
pub fn role_command(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(process::this_program()?);
    command.arg(name).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    leave_terminal(&mut command);
    ignore_stop_signals(&mut command);
    process::die_with_launcher(&mut command)?;
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::create_private;

    #[test]
    fn root_makes_nothing_in_another_users_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there/yet");
        assert_eq!(owner_that_root_would_lock_out(&path), None);
        if geteuid().is_root() {
            nix::unistd::chown(folder.path(), Some(Uid::from_raw(65_534)), None).unwrap();
            assert_eq!(owner_that_root_would_lock_out(&path).as_deref(), Some("nobody"));
        }
    }

    #[test]
    fn a_folder_that_others_could_read_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o700] {
            set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            create_private(folder.path()).unwrap();
            assert_eq!(folder.path().metadata().unwrap().mode() & 0o7777, 0o700);
        }
    }

    #[test]
    fn a_child_that_was_stopped_and_continued_is_noticed_once_and_not_reaped() {
        use nix::sys::signal::kill;
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let send = |signal| kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        assert!(!was_continued(&child));
        send(Signal::SIGSTOP);
        send(Signal::SIGCONT);
        // The kernel continues it at once, even if it has not stopped yet; then there is nothing to notice.
        let noticed = (0..100).any(|_| {
            send(Signal::SIGSTOP);
            std::thread::sleep(std::time::Duration::from_millis(20));
            send(Signal::SIGCONT);
            was_continued(&child)
        });
        assert!(noticed && !was_continued(&child));
        send(Signal::SIGKILL);
        while child.try_wait().unwrap().is_none() {
            assert!(!was_continued(&child));
        }
    }

    #[test]
    fn a_shared_lock_is_released_with_its_last_holder() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            File::options().write(true).create(true).truncate(true).open(folder.path().join("lock")).unwrap()
        };
        let lock = open();
        lock.try_lock().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let until_spawned = share(&lock, &mut command).unwrap();
        let mut holder = command.spawn().unwrap();
        drop((lock, until_spawned));
        assert!(open().try_lock().is_err(), "it ended with the launcher");
        holder.kill().unwrap();
        holder.wait().unwrap();
        // What another test starts at this moment holds it, too, until its exec.
        let start = std::time::Instant::now();
        while open().try_lock().is_err() {
            assert!(start.elapsed() < std::time::Duration::from_secs(10));
        }
    }
}
