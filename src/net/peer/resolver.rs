//! The guest's questions, asked of the host's resolvers: in their order, from the one on that answered last, each with a
//! socket and a number of its own, so that nobody else can answer (RFC 5452). What the guest asks over TCP is asked over TCP.

use super::card::{Moved, read, write};
use super::dns::{self, Question};
use super::tcp;
use crate::net::resolvers::Resolvers;
use socket2::{Domain, Socket, Type};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// So many questions are open at once; the guest's programs ask again.
pub const MOST: usize = 256;

/// How long one resolver is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many times each is asked.
const ROUNDS: usize = 2;

const PORT: u16 = 53;

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Udp { from: SocketAddr, to: SocketAddr },
    Tcp(tcp::Ends),
}

pub struct Job {
    pub client: Client,
    pub question: Question,
    /// As the guest asked it, with the guest's number.
    pub query: Vec<u8>,
    /// What is asked now, and the names to ask for after it, if there is none of this one.
    pub asked: Question,
    others: VecDeque<String>,
    id: u16,
    tries: usize,
    socket: Option<Socket>,
    /// What is still to be sent, and what has come, of a question over TCP.
    to_send: Vec<u8>,
    come: Vec<u8>,
    pub deadline: Option<Instant>,
}

/// What has become of a question.
pub enum Outcome {
    /// It is still open.
    Waits,
    /// With the guest's number.
    Answered(Vec<u8>),
    Failed,
}

#[derive(Default)]
pub struct Resolver {
    pub jobs: HashMap<usize, Job>,
    resolvers: Resolvers,
    /// The one that answered last.
    first: usize,
    /// The port, if it is another one than DNS's.
    port: Option<u16>,
}

impl Resolver {
    pub fn new(port: Option<u16>) -> Self {
        Self { port, ..Self::default() }
    }

    pub fn set(&mut self, resolvers: Resolvers) {
        self.resolvers = resolvers;
        self.first = 0;
    }

    /// The names that a name stands for, in the order in which they are asked for. One word is a host of the host's own
    /// domains first (resolv.conf(5), `search`): so it means in the guest what it means on the host, in every guest.
    pub fn names_of(&self, question: &Question) -> Vec<String> {
        let name = &question.name;
        let is_word = !name.is_empty() && !name.contains('.') && question.asks_for_an_address();
        let domains = self.resolvers.search.iter().filter(|_| is_word);
        domains.map(|domain| format!("{name}.{domain}")).chain([name.clone()]).collect()
    }

    /// Begins to ask.
    pub fn start(&mut self, key: usize, job: Job, now: Instant) -> Outcome {
        self.jobs.insert(key, job);
        self.ask(key, now)
    }

    /// Asks the next resolver that can be asked.
    pub fn ask(&mut self, key: usize, now: Instant) -> Outcome {
        let count = self.resolvers.servers.len();
        let Some(job) = self.jobs.get_mut(&key) else { return Outcome::Failed };
        job.socket = None;
        while job.tries < count * ROUNDS {
            let server = self.resolvers.servers[(self.first + job.tries) % count];
            job.tries += 1;
            if job.begin(server, self.port.unwrap_or(PORT)).is_ok() {
                job.deadline = Some(now + PATIENCE);
                return Outcome::Waits;
            }
        }
        Outcome::Failed
    }

    /// The socket of a question can be read or written.
    pub fn woken(&mut self, key: usize, buffer: &mut [u8], now: Instant) -> Outcome {
        let count = self.resolvers.servers.len().max(1);
        let Some(job) = self.jobs.get_mut(&key) else { return Outcome::Failed };
        let message = match job.advance(buffer) {
            Ok(Some(message)) => message,
            Ok(None) => return Outcome::Waits,
            Err(_) => return self.ask(key, now),
        };
        if !dns::answers(&message, job.id, &job.asked) {
            // Somebody else's; over TCP nobody else is there.
            return if job.is_tcp() { self.ask(key, now) } else { Outcome::Waits };
        }
        let is_last = job.tries >= count;
        if dns::is_failure(&message) && !is_last {
            return self.ask(key, now);
        }
        self.first = (self.first + job.tries - 1) % count;
        if (dns::is_unknown(&message) || dns::is_failure(&message)) && job.next_name() {
            return self.ask(key, now);
        }
        let mut message = message;
        if let Some(id) = dns::id(&job.query) {
            dns::set_id(&mut message, id);
        }
        Outcome::Answered(message)
    }

    /// The answer when no resolver had one.
    pub fn failure(&self, key: usize) -> Option<Vec<u8>> {
        dns::failure(&self.jobs.get(&key)?.query)
    }
}

impl Job {
    /// `names`: those to ask for, at least one. `random`: a number that nobody guesses.
    pub fn new(client: Client, question: Question, query: &[u8], names: Vec<String>, random: u16) -> Self {
        let mut this = Self {
            client,
            query: query.to_owned(),
            asked: question.clone(),
            question,
            others: names.into(),
            id: random,
            tries: 0,
            socket: None,
            to_send: Vec::new(),
            come: Vec::new(),
            deadline: None,
        };
        this.next_name();
        this
    }

    /// Asks for the next name from now on, if there is one.
    fn next_name(&mut self) -> bool {
        let Some(name) = self.others.pop_front() else { return false };
        self.asked.name = name;
        self.tries = 0;
        true
    }

    fn is_tcp(&self) -> bool {
        matches!(self.client, Client::Tcp(_))
    }

    pub fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }

    /// What the poller should tell: that the socket can be read, and that it can be written.
    pub fn interest(&self) -> (bool, bool) {
        (true, !self.to_send.is_empty())
    }

    fn begin(&mut self, server: IpAddr, port: u16) -> io::Result<()> {
        let to = SocketAddr::new(server, port);
        let kind = if self.is_tcp() { Type::STREAM } else { Type::DGRAM };
        let socket = Socket::new(Domain::for_address(to), kind, None)?;
        socket.set_nonblocking(true)?;
        let is_renamed = self.asked.name != self.question.name;
        let renamed = is_renamed.then(|| dns::renamed(&self.query, &self.question, &self.asked.name));
        let mut query =
            renamed.unwrap_or_else(|| Some(self.query.clone())).ok_or(io::ErrorKind::InvalidInput)?;
        dns::set_id(&mut query, self.id);
        self.come.clear();
        self.to_send.clear();
        match socket.connect(&to.into()) {
            Err(e) if self.is_tcp() && is_in_progress(&e) => {}
            other => other?,
        }
        if self.is_tcp() {
            let length = u16::try_from(query.len()).map_err(io::Error::other)?;
            self.to_send = [&length.to_be_bytes()[..], &query].concat();
        } else {
            socket.send(&query)?;
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends and reads what it can; the answer, once it is complete.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        if !matches!(self.client, Client::Tcp(_)) {
            return match read(socket, buffer) {
                Moved::Bytes(length) => Ok(Some(buffer[..length].to_vec())),
                Moved::Nothing => Ok(None),
                Moved::Failed => Err(io::ErrorKind::ConnectionRefused.into()),
            };
        }
        while !self.to_send.is_empty() {
            match write(socket, &self.to_send) {
                Moved::Bytes(count) => drop(self.to_send.drain(..count)),
                Moved::Nothing => break,
                Moved::Failed => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        loop {
            match read(socket, buffer) {
                Moved::Bytes(0) | Moved::Failed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Moved::Bytes(count) => self.come.extend(&buffer[..count]),
                Moved::Nothing => return Ok(None),
            }
            if let Some((head, rest)) = self.come.split_first_chunk::<2>()
                && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*head)))
            {
                return Ok(Some(message.to_owned()));
            }
        }
    }
}

/// The error of a connection that is being made.
pub fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EINPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}
