//! Forwarding: a channel is one connection to a socket in the guest (`ssh -L`), or each connection to a socket
//! opened here for the client becomes a channel (`ssh -R`). Sockets are opened with the user's rights.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener as StdTcpListener};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use russh::Channel;
use russh::server::{Handle, Msg};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::account::Account;
use super::backpressure::{Backlog, Inbox};
use super::session::{receive, send};

/// What a connection's forwarded sockets share.
#[derive(Clone)]
pub struct Context {
    pub handle: Handle,
    pub backlog: Arc<Backlog>,
    pub slots: Arc<Semaphore>,
    pub user: Arc<Account>,
}

/// The sockets that listen for one client, by what it calls them. They close when this goes away.
#[derive(Default)]
pub struct Forwards(HashMap<Place, Vec<Listening>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Tcp { address: String, port: u32 },
    Unix(String),
}

struct Listening {
    task: JoinHandle<()>,
    /// A socket file to remove afterwards, and as whom.
    file: Option<(PathBuf, Arc<Account>)>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        if let Some((path, user)) = self.file.take() {
            let _ = user.run(move || std::fs::remove_file(path));
        }
    }
}

impl Forwards {
    /// Listens on the loopback addresses, whatever `address` is: as sshd with `GatewayPorts no`. Port 0 means any;
    /// returns the port.
    pub fn open_tcp(&mut self, address: &str, port: u32, context: &Context) -> io::Result<u32> {
        let wanted = u16::try_from(port).map_err(io::Error::other)?;
        let (v4, v6) = context.user.run(move || {
            let v4 = StdTcpListener::bind((Ipv4Addr::LOCALHOST, wanted))?;
            let port = v4.local_addr()?.port();
            Ok((v4, StdTcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok()))
        })?;
        let port = v4.local_addr()?.port().into();
        let place = Place::Tcp { address: address.to_owned(), port };
        let mut listening = Vec::new();
        for listener in [Some(v4), v6].into_iter().flatten() {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            let task = tokio::spawn(accept_tcp(listener, address.to_owned(), port, context.clone()));
            listening.push(Listening { task, file: None });
        }
        self.0.insert(place, listening);
        Ok(port)
    }

    /// Listens on a socket file, which must not exist yet; a relative path counts from the user's home.
    pub fn open_unix(&mut self, path: &str, context: &Context) -> io::Result<()> {
        let file = context.user.home.join(path);
        let bind = file.clone();
        let listener = context.user.run(move || StdUnixListener::bind(bind))?;
        listener.set_nonblocking(true)?;
        let task =
            tokio::spawn(accept_unix(UnixListener::from_std(listener)?, path.to_owned(), context.clone()));
        let listening = Listening { task, file: Some((file, context.user.clone())) };
        self.0.insert(Place::Unix(path.to_owned()), vec![listening]);
        Ok(())
    }

    /// Whether there was one.
    pub fn close(&mut self, place: &Place) -> bool {
        self.0.remove(place).is_some()
    }
}

async fn accept_tcp(listener: TcpListener, address: String, port: u32, context: Context) {
    while let Ok((stream, from)) = listener.accept().await {
        let (address, context) = (address.clone(), context.clone());
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Ok(_slot) = context.slots.try_acquire() else { return };
            let (ip, from) = (from.ip().to_string(), from.port().into());
            if let Ok(channel) = context.handle.channel_open_forwarded_tcpip(address, port, ip, from).await {
                relay(channel, stream, context.backlog.clone()).await;
            }
        });
    }
}

async fn accept_unix(listener: UnixListener, path: String, context: Context) {
    while let Ok((stream, _)) = listener.accept().await {
        let (path, context) = (path.clone(), context.clone());
        tokio::spawn(async move {
            let Ok(_slot) = context.slots.try_acquire() else { return };
            if let Ok(channel) = context.handle.channel_open_forwarded_streamlocal(path).await {
                relay(channel, stream, context.backlog.clone()).await;
            }
        });
    }
}

/// Connects to a socket file as `user`; a relative path counts from its home.
pub async fn connect_unix(path: &str, user: Arc<Account>) -> io::Result<UnixStream> {
    let path = user.home.join(path);
    let connect = move || user.run(move || StdUnixStream::connect(path));
    let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Copies both ways until both directions have ended, each at the pace of its reader.
pub async fn relay(channel: Channel<Msg>, stream: impl AsyncRead + AsyncWrite, backlog: Arc<Backlog>) {
    let (incoming, outgoing) = channel.split();
    let (reader, mut writer) = tokio::io::split(stream);
    tokio::pin!(reader);
    let inbox = Arc::new(Inbox::new(backlog));
    let (closed, on_closed) = oneshot::channel();
    let receiver = tokio::spawn(receive(incoming, inbox.clone(), None, closed));
    let inward = async {
        while let Some(bytes) = inbox.next().await {
            if writer.write_all(&bytes).await.is_err() {
                inbox.discard();
                return;
            }
        }
        let _ = writer.shutdown().await;
    };
    let outward = async {
        tokio::select! {
            _ = on_closed => {}
            () = send(Some(reader), &outgoing, None) => {
                let _ = outgoing.eof().await;
            }
        }
    };
    tokio::join!(inward, outward);
    let _ = outgoing.close().await;
    receiver.abort();
}
