//! Sockets: where clients come from, and how many may be there before they have shown a key.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, Shutdown, SockaddrLike, SockaddrStorage, getsockname, shutdown};
use russh::server::{Config, run_stream};
use russh::{Limits as RusshLimits, MethodKind, MethodSet, Preferred, SshId, cipher, kex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use super::backpressure::WINDOW;
use super::connection::Connection;
use super::keys::Keys;
use super::options::{Address, Limits};
use super::programs::Programs;

/// The first descriptor that systemd passes, sd_listen_fds(3).
const FIRST_PASSED: i32 = 3;

/// When russh asks for new keys if the client never did. Below what RFC 4344, section 3.2 allows for AES, and below
/// 2^32 packets, where ChaCha20's nonces would start again, even if each carries one byte (and ten of header).
const REKEY_BYTES: usize = 32 << 30;
const REKEY_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

pub enum Listener {
    Tcp(TcpListener),
    Vsock(VsockListener),
}

/// A client's connection: the bytes, the socket itself, and `SSH_CONNECTION` for its sessions.
struct Accepted {
    stream: Box<dyn Stream>,
    socket: OwnedFd,
    peer: String,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    /// The sockets that systemd passed, then those that the command line asks for. At least one.
    pub fn open_all(addresses: &[Address]) -> io::Result<Vec<Self>> {
        let mut all = passed()?;
        for address in addresses {
            let listener = match *address {
                Address::Tcp(address) => std::net::TcpListener::bind(address).and_then(Self::tcp),
                Address::Vsock(port) => {
                    VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port)).map(Self::Vsock)
                }
            };
            all.push(
                listener
                    .map_err(|e| io::Error::new(e.kind(), format!("can't listen on {address:?}: {e}")))?,
            );
        }
        if all.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "nowhere to listen: systemd passed no socket; say --listen",
            ));
        }
        Ok(all)
    }

    fn tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpListener::from_std(listener)?))
    }

    fn describe(&self) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("tcp:{}", listener.local_addr()?),
            Self::Vsock(listener) => format!("vsock:{}", listener.local_addr()?.port()),
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let peer = tcp_peer(from, stream.local_addr()?);
                Ok(Accepted { socket: stream.as_fd().try_clone_to_owned()?, stream: Box::new(stream), peer })
            }
            Self::Vsock(listener) => {
                let (stream, from) = listener.accept().await?;
                let to = stream.local_addr()?;
                let peer = format!("vsock%{} {} vsock%{} {}", from.cid(), from.port(), to.cid(), to.port());
                Ok(Accepted { socket: stream.as_fd().try_clone_to_owned()?, stream: Box::new(stream), peer })
            }
        }
    }
}

fn tcp_peer(from: SocketAddr, to: SocketAddr) -> String {
    let plain = |ip: IpAddr| ip.to_canonical();
    format!("{} {} {} {}", plain(from.ip()), from.port(), plain(to.ip()), to.port())
}

/// The sockets of socket activation, if they are meant for this process.
fn passed() -> io::Result<Vec<Listener>> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    if number("LISTEN_PID") != Some(std::process::id() as i32) {
        return Ok(Vec::new());
    }
    let passed = FIRST_PASSED..FIRST_PASSED + number("LISTEN_FDS").unwrap_or(0);
    passed
        .map(|fd| {
            // SAFETY: sd_listen_fds(3) gives these descriptors to this process, and they are taken once.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            match getsockname::<SockaddrStorage>(fd.as_raw_fd())?.family() {
                Some(AddressFamily::Vsock) => {
                    let listener = VsockListener::from(fd);
                    Ok(Listener::Vsock(listener))
                }
                _ => Listener::tcp(fd.into()),
            }
        })
        .collect()
}

/// Serves clients until the process is ended.
pub async fn serve(listeners: Vec<Listener>, keys: Arc<Keys>, limits: Limits) -> io::Result<()> {
    let config = Arc::new(config(&keys));
    let slots = Arc::new(Semaphore::new(limits.unauthenticated));
    let programs = Arc::<Programs>::default();
    for listener in listeners {
        eprintln!("ghostly-agent: listening on {}", listener.describe()?);
        let (config, keys, slots) = (config.clone(), keys.clone(), slots.clone());
        let programs = programs.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    // Too many are still to show a key: this one waits, and those behind it wait in the kernel.
                    Ok(accepted) => match slots.clone().acquire_owned().await {
                        Ok(slot) => welcome(accepted, slot, &config, &keys, limits, &programs),
                        Err(_) => return,
                    },
                    // Out of descriptors or memory: that passes, and the loop must not spin until then.
                    Err(error) => {
                        eprintln!("ghostly-agent: can't accept: {error}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }
    std::future::pending().await
}

/// Serves one client in the background, and frees `slot` when it has shown a key.
fn welcome(
    accepted: Accepted,
    slot: OwnedSemaphorePermit,
    config: &Arc<Config>,
    keys: &Arc<Keys>,
    limits: Limits,
    programs: &Arc<Programs>,
) {
    let Accepted { stream, socket, peer } = accepted;
    let (authenticated, on_authenticated) = oneshot::channel();
    let connection = Connection::new(keys.clone(), peer, limits.channels, authenticated, programs.clone());
    let config = config.clone();
    tokio::spawn(async move {
        let opening = async {
            let session = run_stream(config, stream, connection).await.ok()?;
            on_authenticated.await.ok()?;
            Some(session)
        };
        let session = tokio::time::timeout(limits.auth_timeout, opening).await;
        drop(slot);
        match session {
            Ok(Some(session)) => {
                drop(socket);
                let _ = session.await;
            }
            _ => {
                let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
            }
        }
    });
}

/// No password, no certificate, no old algorithm: the host's OpenSSH is a current one.
fn config(keys: &Keys) -> Config {
    Config {
        server_id: SshId::Standard(concat!("SSH-2.0-ghostly_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        keys: vec![keys.host.clone()],
        window_size: WINDOW,
        // Programs write in pieces of a pipe; a deeper queue only adds memory.
        event_buffer_size: 64,
        // Each variable that a client sets takes a place until its program starts, and a full queue stops russh.
        channel_buffer_size: 1024,
        // New keys are the client's to ask for, as it does. When russh asks itself, it gives up on a client that
        // has more than two windows of data on their way, and a few uploads at once have.
        limits: RusshLimits {
            rekey_write_limit: REKEY_BYTES,
            rekey_read_limit: REKEY_BYTES,
            rekey_time_limit: REKEY_TIME,
        },
        // An idle shell is no dead client.
        inactivity_timeout: None,
        preferred: Preferred {
            kex: vec![
                kex::MLKEM768X25519_SHA256,
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::EXTENSION_SUPPORT_AS_SERVER,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
            ]
            .into(),
            key: vec![russh::keys::Algorithm::Ed25519].into(),
            cipher: vec![cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR].into(),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}
