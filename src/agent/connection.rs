//! One client: who it is, and what it may open. russh calls [`Connection`] for each of its requests; long work
//! runs in tasks of its own, because the whole connection waits while a request is being answered.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::account::Account;
use super::backpressure::Backlog;
use super::copy::COPY;
use super::forward::{self, Context, Forwards, Place};
use super::keys::Keys;
use super::program::{self, Program};
use super::programs::Programs;
use super::session::{self, Setup};
use super::{pty, status};
use crate::protocol::request::{MAX_ID, MAX_REQUEST, REQUEST, REQUEST_VARIABLE, Request};

pub struct Connection {
    keys: Arc<Keys>,
    /// `SSH_CONNECTION` of the sessions.
    peer: String,
    /// Notified when the client has authenticated.
    authenticated: Option<oneshot::Sender<()>>,
    user: Option<Arc<Account>>,
    backlog: Arc<Backlog>,
    slots: Arc<Semaphore>,
    /// Session channels whose program has not been started.
    waiting: HashMap<ChannelId, Waiting>,
    forwards: Forwards,
    programs: Arc<Programs>,
}

struct Waiting {
    channel: Channel<Msg>,
    slot: OwnedSemaphorePermit,
    setup: Setup,
    /// The pieces of the launcher's request, and their length.
    request: BTreeMap<String, String>,
    request_bytes: usize,
}

impl Connection {
    pub fn new(
        keys: Arc<Keys>,
        peer: String,
        channels: usize,
        authenticated: oneshot::Sender<()>,
        programs: Arc<Programs>,
    ) -> Self {
        Self {
            keys,
            peer,
            authenticated: Some(authenticated),
            user: None,
            backlog: Arc::default(),
            slots: Arc::new(Semaphore::new(channels)),
            waiting: HashMap::new(),
            forwards: Forwards::default(),
            programs,
        }
    }

    fn user(&self) -> Result<&Arc<Account>, Error> {
        self.user.as_ref().ok_or(Error::NotAuthenticated)
    }

    fn context(&self, session: &Session) -> Result<Context, Error> {
        Ok(Context {
            handle: session.handle(),
            backlog: self.backlog.clone(),
            slots: self.slots.clone(),
            user: self.user()?.clone(),
        })
    }

    /// Answers the request for a channel to a socket, once that is connected, and connects them.
    async fn forward<S: AsyncRead + AsyncWrite + Send + 'static>(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        connect: impl Future<Output = io::Result<S>> + Send + 'static,
    ) -> Result<(), Error> {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let backlog = self.backlog.clone();
        tokio::spawn(async move {
            match connect.await {
                Ok(stream) => {
                    reply.accept().await;
                    forward::relay(channel, stream, backlog).await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
            drop(slot);
        });
        Ok(())
    }

    /// Starts a program on a session channel: once for each channel, RFC 4254, section 6.5.
    fn start(&mut self, id: ChannelId, program: Program, session: &mut Session) -> Result<(), Error> {
        let user = self.user()?.clone();
        let Some(Waiting { channel, slot, mut setup, .. }) = self.waiting.remove(&id) else {
            return session.channel_failure(id);
        };
        setup.env.push(("SSH_CONNECTION".to_owned(), self.peer.clone()));
        if program.run().is_none() {
            // By this bash knows that it runs for an SSH server, and reads ~/.bashrc (bash(1), "Invocation").
            let [address, port, _, own_port] =
                <[&str; 4]>::try_from(self.peer.split(' ').collect::<Vec<_>>()).unwrap_or_default();
            setup.env.push(("SSH_CLIENT".to_owned(), format!("{address} {port} {own_port}")));
        }
        match session::start(&program, &setup, &user, &self.programs) {
            Ok(running) => {
                session.channel_success(id)?;
                let (handle, backlog) = (session.handle(), self.backlog.clone());
                tokio::spawn(running.attach(channel, handle, backlog, slot));
                Ok(())
            }
            Err(error) => {
                if let Program::Run(run) = &program {
                    let (message, status) = program::not_started(run, &error);
                    return Self::answer(id, &message, status, session);
                }
                eprintln!("ghostly-agent: no session for {}: {error}", user.name);
                session.channel_failure(id)
            }
        }
    }

    /// What the launcher asks for with a session channel.
    fn request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        let Some(waiting) = self.waiting.get_mut(&id) else { return session.channel_failure(id) };
        match Request::parse(waiting.request.values().map(String::as_str)) {
            Ok(Request::Run(run)) if run.id.len() <= MAX_ID => self.start(id, Program::Run(run), session),
            Ok(Request::Signal { id: program, signal }) => {
                self.waiting.remove(&id);
                let is_sent = self.programs.signal(&program, self.user()?.uid, &signal);
                Self::answer(id, "", u8::from(!is_sent), session)
            }
            Ok(Request::Pack { .. } | Request::Unpack { .. }) => {
                // A process with the user's rights reads it again.
                waiting.setup.env.extend(std::mem::take(&mut waiting.request));
                self.start(id, Program::Own(COPY), session)
            }
            _ => session.channel_failure(id),
        }
    }

    /// A session that is over at once: a message on its standard error, and a status.
    fn answer(id: ChannelId, message: &str, status: u8, session: &mut Session) -> Result<(), Error> {
        session.channel_success(id)?;
        if !message.is_empty() {
            session.extended_data(id, session::STDERR, message.as_bytes().to_vec())?;
        }
        session.exit_status_request(id, status.into())?;
        session.eof(id)?;
        session.close(id)
    }
}

/// What a client may set in a session: how text looks, as sshd's `AcceptEnv LANG LC_*` in Debian, and what the
/// terminal can do.
fn may_set(name: &str) -> bool {
    matches!(name, "LANG" | "COLORTERM" | "TERM_PROGRAM" | "TERM_PROGRAM_VERSION") || name.starts_with("LC_")
}

impl Handler for Connection {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        Ok(if self.keys.admit(user, offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        if !self.keys.admit(user, key.public_key) {
            return Ok(Auth::reject());
        }
        match Account::lookup(user) {
            Ok(identity) => {
                self.user = Some(Arc::new(identity));
                Ok(Auth::Accept)
            }
            Err(error) => {
                eprintln!("ghostly-agent: {error}");
                Ok(Auth::reject())
            }
        }
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), Error> {
        if let Some(authenticated) = self.authenticated.take() {
            let _ = authenticated.send(());
        }
        Ok(())
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        self.backlog.next_window()
    }

    async fn data(&mut self, id: ChannelId, _: &[u8], session: &mut Session) -> Result<(), Error> {
        self.backlog.pace(session.sender_window_size(id)).await;
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => {
                let (setup, request) = (Setup::default(), BTreeMap::new());
                self.waiting
                    .insert(channel.id(), Waiting { channel, slot, setup, request, request_bytes: 0 });
                reply.accept().await;
            }
            Err(_) => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Error> {
        self.waiting.remove(&id);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let Some(waiting) = self.waiting.get_mut(&id) else {
            return session.channel_failure(id);
        };
        let size = pty::Size { columns, rows, width, height };
        waiting.setup.pty = Some(pty::Request { term: term.to_owned(), size, modes: modes.to_vec() });
        session.channel_success(id)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        match self.waiting.get_mut(&id) {
            Some(waiting) if name.starts_with(REQUEST_VARIABLE) => {
                waiting.request_bytes += name.len() + value.len();
                if waiting.request_bytes > MAX_REQUEST {
                    return session.channel_failure(id);
                }
                waiting.request.insert(name.to_owned(), value.to_owned());
                session.channel_success(id)
            }
            Some(waiting) if may_set(name) => {
                waiting.setup.env.push((name.to_owned(), value.to_owned()));
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.start(id, Program::Shell, session)
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Error> {
        self.start(id, Program::Command(line.to_vec()), session)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        match name {
            REQUEST => self.request(id, session),
            "sftp" => self.start(id, Program::Own(session::SFTP_SERVER), session),
            status::STATUS => self.start(id, Program::Own(status::STATUS), session),
            _ => session.channel_failure(id),
        }
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        let target = (host.to_owned(), u16::try_from(port).unwrap_or(0));
        self.forward(channel, reply, async move {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        let (path, user) = (path.to_owned(), self.user()?.clone());
        self.forward(channel, reply, async move { forward::connect_unix(&path, user).await }).await
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let context = self.context(session)?;
        let opened = self.forwards.open_tcp(address, *port, &context).map(|opened| *port = opened);
        Ok(opened.is_ok())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, Error> {
        Ok(self.forwards.close(&Place::Tcp { address: address.to_owned(), port }))
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, Error> {
        let context = self.context(session)?;
        Ok(self.forwards.open_unix(path, &context).is_ok())
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, Error> {
        Ok(self.forwards.close(&Place::Unix(path.to_owned())))
    }
}
