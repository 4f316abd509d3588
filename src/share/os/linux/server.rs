//! What the process of a server does: it serves the folder that it was started in, until QEMU hangs up.
//!
//! It runs as the host's user and nobody else. Whoever writes in the guest writes as that user; what is that user's on the host
//! belongs to the terminal's user in the guest; what is others' belongs to `nobody` there.

use super::eager::Eager;
use super::room::Room;
use super::{CONTROL, LISTENER, confine};
use crate::error::Result;
use crate::protocol::TERMINAL_USER;
use anyhow::{Context, anyhow};
use nix::unistd::{getegid, geteuid};
use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;
use vhost::vhost_user::Listener;
use vhost_user_backend::VhostUserDaemon;
use virtiofsd::filesystem::FileSystem;
use virtiofsd::passthrough::read_only::PassthroughFsRo;
use virtiofsd::passthrough::{CachePolicy, Config, PassthroughFs};
use virtiofsd::soft_idmap::cmdline::IdMap;
use virtiofsd::vhost_user::VhostUserFsBackendBuilder;
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

/// What the launcher reads first: the server is confined and serves.
pub const READY: u8 = b'r';

/// A change on the host is seen in the guest after this time at the latest.
const CACHED: Duration = Duration::from_secs(1);
/// Descriptors of the server itself.
const OWN_DESCRIPTORS: u64 = 64;
/// Owner and group of what belongs to others (the kernel's `overflowuid`).
const NOBODY: u32 = 65_534;

/// # Errors
/// It inherited nothing, or can't be confined.
pub fn role(is_read_only: bool) -> Result<()> {
    let inherit = |number| {
        // SAFETY: the launcher assigned the number, and nothing else in this process uses it. One that is not open is refused
        // at its first use.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    // A file, which is written by write(2) alone.
    let (listener, launcher) = (UnixListener::from(inherit(LISTENER)), File::from(inherit(CONTROL)));
    nix::sys::stat::fstat(&listener).context("it is started by a launcher, with a socket")?;
    let descriptors = confine::limit_files()?;
    let proc_self_fd = confine::open_path("/proc/self/fd").context("can't open /proc/self/fd")?;
    confine::confine(is_read_only).context("can't confine the server")?;
    let config = Config {
        entry_timeout: CACHED,
        attr_timeout: CACHED,
        cache_policy: CachePolicy::Auto,
        root_dir: ".".to_owned(),
        xattr: true,
        proc_sfd_rawfd: Some(proc_self_fd),
        announce_submounts: true,
        readdirplus: true,
        allow_direct_io: true,
        allow_mmap: true,
        // The kernel clears the bits by itself: the server has no capability. So the guest need not ask before each write.
        killpriv_v2: true,
        uid_map: Some(ids(geteuid().as_raw())),
        gid_map: Some(ids(getegid().as_raw())),
        guest_fd_limit: descriptors.saturating_sub(OWN_DESCRIPTORS),
        ..Config::default()
    };
    let cannot = "can't serve the folder";
    if is_read_only {
        serve(PassthroughFsRo::new(config).context(cannot)?, listener, launcher, descriptors)
    } else {
        serve(PassthroughFs::new(config).context(cannot)?, listener, launcher, descriptors)
    }
}

fn serve<F: FileSystem + Send + Sync + 'static>(
    files: F,
    listener: UnixListener,
    mut launcher: File,
    descriptors: u64,
) -> Result<()> {
    let room = Room::new(launcher.try_clone().context("can't reach the launcher")?, descriptors);
    let backend = VhostUserFsBackendBuilder::default().build(Eager { files, room });
    let backend = Arc::new(backend.map_err(|e| anyhow!("can't serve the folder: {e}"))?);
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon = VhostUserDaemon::new("share".to_owned(), backend, memory)
        .map_err(|e| anyhow!("can't serve the folder: {e}"))?;
    launcher.write_all(&[READY]).context("can't reach the launcher")?;
    daemon.start(&mut Listener::from(listener)).map_err(|e| anyhow!("QEMU did not connect: {e}"))?;
    match daemon.wait() {
        Ok(()) | Err(vhost_user_backend::Error::HandleRequest(vhost::vhost_user::Error::Disconnected)) => {
            Ok(())
        }
        Err(e) => Err(anyhow!("QEMU hung up: {e}").into()),
    }
}

/// All of the guest's owners are `host`; only that one's files are the terminal's user's.
fn ids(host: u32) -> Vec<IdMap> {
    let others = |from_host: u32, count: u32| {
        (count > 0).then_some(IdMap::SquashHost { from_host, to_guest: NOBODY, count })
    };
    // The last number means "unchanged" (chown(2)).
    let after = u32::MAX - 1 - host;
    let mut ids = vec![
        IdMap::SquashGuest { from_guest: 0, to_host: host, count: u32::MAX },
        IdMap::Host { from_host: host, to_guest: TERMINAL_USER, count: 1 },
    ];
    ids.extend(others(0, host));
    ids.extend(others(host + 1, after));
    ids
}
